"""What an edge tells about its releases (``state/release``): per recipe who decides, who is on trial with which results, and the last rollback."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from qc.domain.record import Json
from qc.line.trial import CanaryTrial
from qc.release.index import Index, RecipeState, Transition
from qc.release.shadow import Shadow

ROLLBACKS = ("rollback", "fallback")


def release_of(
    variant: str,
    active: str,
    state: RecipeState | None,
    *,
    shadow: tuple[Shadow, Mapping[str, int]] | None = None,
    canary: CanaryTrial | None = None,
    rollback: Transition | None = None,
    trouble: str = "",
) -> dict[str, Json]:
    """One recipe. shadow: with the joint decisions of its comparison so far. trouble: why the line cannot follow the registry."""
    return {
        "variant": variant,
        "active": active,
        "previous": state.previous.model if state and state.previous else None,
        "shadow": None if shadow is None or state is None or state.shadow is None else _shadow(*shadow, state.shadow.since),
        "canary": None if canary is None else _canary(canary),
        "last_rollback": None if rollback is None else _step(rollback),
        "trouble": trouble,
    }


def last_rollbacks(index: Index) -> dict[str, Transition]:
    """By variant; those that a later promotion has overtaken say nothing about what runs now."""
    found: dict[str, Transition] = {}
    for step in index.history:
        if step.action in ROLLBACKS:
            found[step.variant] = step
        elif step.action == "promote":
            found.pop(step.variant, None)
    return found


def phase_of(releases: Iterable[Mapping[str, Json]], variant: str) -> tuple[str, str | None]:
    """(phase, candidate) of one variant, in a word: what decides or listens beside its active model."""
    for release in releases:
        if release["variant"] == variant:
            for phase in ("canary", "shadow"):
                trial = release[phase]
                if isinstance(trial, dict):
                    return phase, str(trial["model"])
    return "active", None


def _shadow(shadow: Shadow, cells: Mapping[str, int], since: datetime) -> Json:
    counts = shadow.counts
    return {
        "model": shadow.slot.model,
        "share": shadow.share,
        "since": since.isoformat(),
        "offered": counts.offered,
        "skipped": counts.skipped,
        "shed": counts.shed,
        "judged": counts.judged,
        "failed": counts.failed,
        "not_ticketed": counts.not_ticketed,
        **cells,
    }


def _canary(trial: CanaryTrial) -> Json:
    canary = trial.canary
    return {
        "model": canary.slot.model,
        "share": canary.share,
        "since": canary.since.isoformat(),
        "until": canary.until.isoformat() if canary.until else None,
        "parts": trial.guard.parts,
        "errors": trial.guard.errors,
        "labels": trial.labels.taken,
        "withdrawn": trial.withdrawn(),
        "reason": trial.reason,
    }


def _step(step: Transition) -> Json:
    return {
        "at": step.at.isoformat(),
        "action": step.action,
        "model": step.model,
        "former": step.former,
        "who": step.who,
        "via": step.via,
        "reason": step.why,
    }

"""``qc models``: the registry from the terminal. A running line follows what is changed here within a second or two."""

import getpass
import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from qc.commands.logs import set_up_logs
from qc.domain.clock import SystemClock
from qc.domain.errors import ConfigError, QcError
from qc.domain.recipe import Recipe
from qc.domain.record import Json
from qc.line.release_steps import promoted, slot_for
from qc.release.archive import export_bundle
from qc.release.index import RecipeState, Transition
from qc.release.page import as_text
from qc.release.registry import Registry
from qc.release.signing import make_keys, sign_bundle, signed_manifest
from qc.release.transitions import By
from qc.settings import load_line, load_recipes
from qc.wiring.release import build_registry


def open_registry(config: Path) -> tuple[Registry, dict[str, Recipe], str]:
    """Registry, recipe files and the settings' active variant. Raises QcError."""
    settings = load_line(config)
    set_up_logs("warning", "text")  # what is loaded and checked on the way is not what was asked
    return build_registry(settings.models), load_recipes(settings.recipes.directory), settings.recipes.active


def list_models(config: Path, *, as_json: bool) -> int:
    """Every bundle, and where it is used."""
    registry, recipes, _ = open_registry(config)
    index = registry.index()
    uses: dict[str, list[str]] = {}
    for variant, recipe in recipes.items():
        state = index.recipes.get(variant)
        for role, model in _roles(state) if state else [("active", promoted(recipe, index).model_id)]:
            uses.setdefault(model, []).append(f"{role}: {variant}")
    rows: list[dict[str, Json]] = []
    for model in registry.models():
        try:
            card = registry.card(model)
            manifest = signed_manifest(registry.path(model))
            known: dict[str, Json] = {"created_at": card.created_at, "parent": card.parent, "signed": manifest is not None}
        except QcError as error:
            known = {"error": str(error)}
        rows.append({"model": model, "used": list(uses.get(model, [])), **known})
    if as_json:
        print(json.dumps(rows, indent=1))
        return 0
    table = Table("model", "used as", "made", "parent", "signed")
    for row in rows:
        used = row["used"]
        text = ", ".join(str(use) for use in used) if isinstance(used, list) else ""
        signed = str(row.get("error") or ("yes" if row.get("signed") else "no"))
        table.add_row(str(row["model"]), text, str(row.get("created_at", "")), str(row.get("parent") or ""), signed)
    Console().print(table)
    return 0


def show(config: Path, model: str, *, as_json: bool) -> int:
    """Card, lineage, gate reports and transitions of one model."""
    registry, _, _ = open_registry(config)
    card, reports = registry.card(model), registry.reports(model)
    steps = [step for step in registry.index().history if model in (step.model, step.former)]
    if as_json:
        facts = {
            "card": asdict(card),
            "lineage": registry.lineage(model),
            "gate_reports": [report.model_dump(mode="json") for report in reports],
            "history": [step.model_dump(mode="json") for step in steps],
        }
        print(json.dumps(facts, indent=1))
        return 0
    print(f"{model}  {card.sha256}")
    print(f"made {card.created_at}; rejected from {card.reject_at:.3f}, reviewed from {card.review_at:.3f}")
    print(f"lineage: {' <- '.join(registry.lineage(model))}" + (f" <- {card.parent} (not here)" if card.parent else ""))
    print(f"data {str(card.data.get('sha256', 'unknown'))[:12]}, code {str(card.training.get('code_commit', 'unknown'))[:12]}")
    for report in reports:
        print(f"\n{as_text(report)}")
    for step in steps:
        print(_words(step))
    return 0


def history(config: Path, *, variant: str, as_json: bool) -> int:
    """Every transition, oldest first."""
    registry, recipes, _ = open_registry(config)
    wanted = _variant(recipes, variant) if variant else ""
    steps = [step for step in registry.index().history if wanted in ("", step.variant)]
    if as_json:
        print(json.dumps([step.model_dump(mode="json") for step in steps], indent=1))
        return 0
    for step in steps:
        print(_words(step))
    if not steps:
        print("no step yet: every recipe runs the model of its file")
    return 0


def verify(config: Path, models: list[str]) -> int:
    """Exit code 0 when every named model (default: all) passes every check that the line makes, 1 otherwise."""
    registry, _, _ = open_registry(config)
    wrong = 0
    for model in models or registry.models():
        try:
            print(f"ok    {model}  {registry.prove(model).sha256[:12]}")
        except QcError as error:
            wrong += 1
            print(f"WRONG {model}: {error}")
    return 1 if wrong else 0


def diff(config: Path, one: str, other: str) -> int:
    """What differs between two cards, field by field; exit code 0 when nothing does, 1 otherwise."""
    registry, _, _ = open_registry(config)
    a, b = (_flat(asdict(registry.card(model))) for model in (one, other))
    changed = [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
    if not changed:
        print("no difference")
        return 0
    table = Table("field", one, other)
    for key in changed:
        table.add_row(key, str(a.get(key, "")), str(b.get(key, "")))
    Console().print(table)
    return 1


def promote(config: Path, model: str, *, variant: str, who: str, why: str, override: bool) -> int:
    """Raises ReleaseError without a passed gate report (or an override with a name and a reason)."""
    registry, recipes, active = open_registry(config)
    variant = _variant(recipes, variant or active)
    slot = slot_for(registry, recipes[variant], model)
    registered(registry, recipes[variant])
    registry.promote(variant, slot, By(who or getpass.getuser(), "cli", why), override=override)
    print(f"{variant}: {model} is active")
    return 0


def shadow(config: Path, model: str, *, variant: str, who: str, share: float) -> int:
    """model empty: end the shadow. Raises ReleaseError, BundleError."""
    registry, recipes, active = open_registry(config)
    variant = _variant(recipes, variant or active)
    slot = slot_for(registry, recipes[variant], model) if model else None
    registered(registry, recipes[variant])
    registry.shadow(variant, slot, By(who or getpass.getuser(), "cli"), share=share)
    print(f"{variant}: {f'{model} judges {share:.0%} of the parts in the shadow' if model else 'no shadow any more'}")
    return 0


def canary(config: Path, model: str, *, variant: str, who: str, why: str, share: float | None, minutes: float | None) -> int:
    """Raises ReleaseError, BundleError."""
    registry, recipes, active = open_registry(config)
    variant = _variant(recipes, variant or active)
    slot = slot_for(registry, recipes[variant], model)
    registered(registry, recipes[variant])
    until = None if minutes is None else SystemClock().now() + timedelta(minutes=minutes)
    part = share or (0.1 if minutes is None else 1.0)
    registry.canary(variant, slot, By(who or getpass.getuser(), "cli", why), share=part, until=until)
    print(
        f"{variant}: {model} decides {part:.0%} of the parts" + (f" until {until.astimezone():%Y-%m-%d %H:%M}" if until else "")
    )
    return 0


def rollback(config: Path, *, variant: str, who: str, why: str) -> int:
    registry, recipes, active = open_registry(config)
    variant = _variant(recipes, variant or active)
    registry.rollback(variant, By(who or getpass.getuser(), "cli", why))
    state = registry.state(variant)
    print(f"{variant}: {state.active.model if state else '?'} is active")
    return 0


def gc(config: Path, *, keep: int) -> int:
    """Prints what was removed."""
    registry, recipes, _ = open_registry(config)
    gone = registry.gc(in_use={recipe.model_id for recipe in recipes.values()}, keep=keep)
    print(f"removed {', '.join(gone) or 'nothing'}")
    return 0


def keygen(name: Path) -> int:
    private, public = name.with_suffix(".key"), name.with_suffix(".pub")
    key = make_keys(private, public)
    print(f"key {key}: keep {private} secret, put {public} into models.public_keys of every edge")
    return 0


def sign(bundle: Path, key: Path) -> int:
    manifest = sign_bundle(bundle, key)
    print(f"{manifest.model_id}: signed {len(manifest.files)} files, sequence {manifest.sequence}")
    return 0


def export(bundle: Path, archive: Path) -> int:
    export_bundle(bundle, archive)
    print(f"wrote {archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0


def import_(config: Path, archive: Path) -> int:
    registry, _, _ = open_registry(config)
    print(f"{registry.import_archive(archive)} is in {registry.directory}; no recipe uses it yet")
    return 0


def registered(registry: Registry, recipe: Recipe) -> RecipeState:
    """The recipe's state in the registry; entered there as its file says when this is the first step."""
    if registry.state(recipe.variant) is None:
        slot = slot_for(registry, recipe, recipe.model_id)
        registry.register(recipe.variant, slot, By("qc", "cli", "as the recipe file says"))
    state = registry.state(recipe.variant)
    assert state is not None
    return state


def _variant(recipes: dict[str, Recipe], variant: str) -> str:
    if variant not in recipes:
        raise ConfigError(f"no recipe for {variant!r}; there are {', '.join(sorted(recipes))}")
    return variant


def _words(step: Transition) -> str:
    former = f" for {step.former}" if step.former not in ("", step.model) else ""
    by = f"by {step.who} via {step.via}" + (f": {step.why}" if step.why else "")
    gate = ", gate OVERRIDDEN" if step.override else f", gate report {step.gate}" if step.gate else ""
    return (
        f"{step.number:4} {step.at.astimezone():%Y-%m-%d %H:%M:%S} {step.variant}: {step.action} {step.model}{former} {by}{gate}"
    )


def _roles(state: RecipeState) -> list[tuple[str, str]]:
    roles = {"active": state.active, "previous": state.previous}
    trials = {"shadow": state.shadow, "canary": state.canary}
    found = [(role, slot.model) for role, slot in roles.items() if slot]
    return found + [(role, trial.slot.model) for role, trial in trials.items() if trial]


def _flat(value: object, path: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {
            key: leaf for name, inner in value.items() for key, leaf in _flat(inner, f"{path}.{name}" if path else name).items()
        }
    return {path: value}

"""The state of the releases in words, for ``qc watch`` and ``qc status``. Takes whatever somebody publishes."""

from collections.abc import Mapping

from qc.domain.record import Json

Line = tuple[str, str]
"""(text, colour)"""


def release_lines(body: Mapping[str, Json]) -> list[Line]:
    """What is on trial, was rolled back or is in trouble, a line each; empty when there is nothing but active models."""
    releases = body.get("releases")
    found: list[Line] = []
    for release in releases if isinstance(releases, list) else []:
        if isinstance(release, dict):
            found += _lines(release)
    return found


def _lines(release: Mapping[str, Json]) -> list[Line]:
    variant, found = str(release.get("variant", "?")), []
    canary, shadow, rollback, trouble = (release.get(key) for key in ("canary", "shadow", "last_rollback", "trouble"))
    if isinstance(canary, dict):
        until = f", until {canary['until']}" if canary.get("until") else ""
        counts = f"{_n(canary, 'parts')} parts, {_n(canary, 'errors')} errors, {_n(canary, 'labels')} labels"
        words = f"{variant}: canary {_n(canary, 'model')} decides {_percent(canary.get('share'))} of the parts{until}: {counts}"
        found.append((f"{words}; WITHDRAWN: {_n(canary, 'reason')}", "red") if canary.get("withdrawn") else (words, "yellow"))
    if isinstance(shadow, dict):
        agree = _sum(shadow, "both_accept", "both_reject")
        differ = _sum(shadow, "only_active_rejects", "only_candidate_rejects")
        rejects = f"only it rejects {_n(shadow, 'only_candidate_rejects')}, only {_n(release, 'active')} {_n(shadow, 'only_active_rejects')}"
        counts = f"{agree} agree, {differ} differ ({rejects}), {_n(shadow, 'shed')} shed, {_n(shadow, 'failed')} failed"
        share = _percent(shadow.get("share"))
        found.append((f"{variant}: shadow {_n(shadow, 'model')} judges {share} of the parts: {counts}", "cyan"))
    if isinstance(rollback, dict):
        who = "by itself" if rollback.get("who") == "qc" else f"by {_n(rollback, 'who')}"
        words = f"{variant}: {_n(rollback, 'action')} {who} at {_n(rollback, 'at')} from {_n(rollback, 'former')} to {_n(rollback, 'model')}"
        found.append((f"{words}: {_n(rollback, 'reason')}", "yellow"))
    if trouble:
        found.append((f"{variant}: {trouble}", "red"))
    return found


def _n(body: Mapping[str, Json], key: str) -> str:
    return str(body.get(key, "?"))


def _sum(body: Mapping[str, Json], *keys: str) -> str:
    values = [body.get(key) for key in keys]
    return str(sum(value for value in values if isinstance(value, int))) if all(isinstance(v, int) for v in values) else "?"


def _percent(value: Json) -> str:
    return f"{value:.0%}" if isinstance(value, int | float) else "?"

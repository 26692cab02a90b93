"""``qc models compare``: what the shadows of a line have shown, candidate against active model."""

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from qc.commands.dataset import recorded_database
from qc.domain.record import Json
from qc.evaluate.compare import Difference
from qc.record.shadow_store import ShadowPart, ShadowStore
from qc.record.truth_store import SqliteTruthStore
from qc.release.shadow_report import shadow_comparison
from qc.settings import load_line

NAMES = ("detection rate", "false-positive rate")


def compare(config: Path, *, model: str, disagreements: int, as_json: bool) -> int:
    """Each comparison (variant, active model, candidate, threshold): joint decisions of all parts, and the differences of the
    rates by the labels drawn among them. disagreements: how many of the newest are listed. Exit code 1 when there is none."""
    with closing(recorded_database(load_line(config))) as database:
        store, answers = ShadowStore(database), SqliteTruthStore(database).answers()
        found: list[dict[str, Json]] = []
        for run in store.runs():
            variant, active, candidate, _, review_at = run.split("/")
            if model in ("", candidate):
                cells = store.cells(run)
                differences = dict(zip(NAMES, shadow_comparison(run, cells, answers), strict=True))
                head: dict[str, Json] = {
                    "variant": variant,
                    "active_sha256": active,
                    "candidate": candidate,
                    "review_at": float(review_at),
                }
                newest = [_disagreement(part) for part in store.disagreements(run, disagreements)]
                rates: dict[str, Json] = {name: asdict(difference) for name, difference in differences.items()}
                found.append(head | {"parts": dict(cells), "differences": rates, "disagreements": list[Json](newest)})
                if not as_json:
                    _print(head, cells, differences)
                    for part in newest:
                        print("  " + "  ".join(str(value) for value in part.values()))
    if as_json:
        print(json.dumps(found, indent=1))
    elif not found:
        print(f"no model {model or 'at all'} has been in the shadow on this line")
    return 0 if found else 1


def _disagreement(part: ShadowPart) -> dict[str, Json]:
    scores: dict[str, Json] = {"active_score": round(part.active_score, 3), "candidate_score": round(part.candidate_score, 3)}
    return {"at": part.at.astimezone().isoformat(timespec="seconds"), "event_id": part.event_id, "cell": part.cell, **scores}


def _print(head: dict[str, Json], cells: dict[str, int], differences: dict[str, Difference]) -> None:
    differ = cells["only_active_rejects"] + cells["only_candidate_rejects"]
    print(f"{head['variant']}: {head['candidate']} (rejects from {head['review_at']}) against model {head['active_sha256']}")
    print(
        f"  {sum(cells.values())} parts; both accept {cells['both_accept']}, both reject {cells['both_reject']}; {differ} differ:",
        end=" ",
    )
    print(f"only the active one rejects {cells['only_active_rejects']}, only the candidate {cells['only_candidate_rejects']}")
    for name, difference in differences.items():
        if difference.estimate is None or difference.low is None or difference.high is None:
            print(f"  {name}: not known yet: {difference.not_estimable} ({difference.n} labels)")
        else:
            limits = f"{difference.low:+.1%} to {difference.high:+.1%}"
            print(
                f"  {name}: {difference.estimate:+.1%} ({limits}), {difference.n} labels, {difference.found} of them where they differ"
            )

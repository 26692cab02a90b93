"""``qc challenge``: the register of known defectives."""

import difflib
import getpass
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from qc.commands.edge_records import EdgeRecords, edge_records
from qc.domain.clock import SystemClock
from qc.domain.errors import ConfigError, QcError
from qc.domain.record import AuditEntry, Json
from qc.domain.truth import ChallengePass
from qc.label.challenge import ChallengeRegister
from qc.label.windows import Shifts
from qc.settings import load_recipes


def register(config: Path, challenge_id: str, *, part_id: str, variant: str, defect_type: str, severity: str) -> int:
    """Raises ConfigError for an unknown variant, StoreError when an id is taken, CommandError for an empty field."""
    with edge_records(config, write=True) as edge:
        _check_variant(edge, variant)
        detail = {"challenge_id": challenge_id, "part_id": part_id, "variant": variant, "defect_type": defect_type}

        def work() -> None:
            ChallengeRegister(edge.truth, SystemClock()).register(
                challenge_id, part_id=part_id, variant=variant, defect_type=defect_type, severity=severity
            )

        _audited(edge, "challenge-register", detail, work)
    print(f"{challenge_id} is registered: passes of part id {part_id!r} are challenge passes from the next minute on")
    return 0


def retire(config: Path, challenge_id: str) -> int:
    """Raises UnknownPart."""
    with edge_records(config, write=True) as edge:
        _audited(
            edge,
            "challenge-retire",
            {"challenge_id": challenge_id},
            lambda: ChallengeRegister(edge.truth, SystemClock()).retire(challenge_id),
        )
    print(f"{challenge_id} is retired; its past passes stay in the record")
    return 0


def show(config: Path, *, include_retired: bool) -> int:
    """The register with passes, and what is still due in the present shift."""
    with edge_records(config) as edge:
        sampling = edge.settings.sampling
        window = Shifts([(shift.name, shift.start) for shift in sampling.shifts], sampling.timezone).window_of(
            SystemClock().now()
        )
        parts = edge.truth.challenge_parts(include_retired=include_retired)
        passes = edge.truth.passes()
        keeper = ChallengeRegister(edge.truth, SystemClock())
        due = {part.challenge_id for variant in {p.variant for p in parts} for part in keeper.due(variant, window)}
        zone = edge.zone
    if not parts:
        print("no challenge part is registered: qc challenge register CONFIG ID --part-id ... --variant ... --defect-type ...")
        return 0
    table = Table("id", "part id", "variant", "defect", "severity", "caught", "last used", f"due in {window.name}")
    for part in parts:
        last = f"{part.last_used.astimezone(zone):%Y-%m-%d %H:%M}" if part.last_used else "never"
        state = "retired" if part.retired_at else "due" if part.challenge_id in due else ""
        caught = _caught([one for one in passes if one.challenge_id == part.challenge_id])
        table.add_row(part.challenge_id, part.part_id, part.variant, part.defect_type, part.severity, caught, last, state)
    Console().print(table)
    return 0


def _caught(passes: list[ChallengePass]) -> str:
    return f"{sum(one.rejected for one in passes)} of {len(passes)}"


def _check_variant(edge: EdgeRecords, variant: str) -> None:
    known = sorted(load_recipes(edge.settings.recipes.directory))
    if variant not in known:
        close = difflib.get_close_matches(variant, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"--variant {variant!r}: no recipe has this variant{hint} Known: {', '.join(known)}")


def _audited(edge: EdgeRecords, action: str, detail: Mapping[str, Json], work: Callable[[], None]) -> None:
    outcome = "done"
    try:
        work()
    except QcError as error:
        outcome = f"refused: {error}"
        raise
    finally:
        edge.store.audit(AuditEntry(SystemClock().now(), getpass.getuser(), "cli", action, detail, outcome))

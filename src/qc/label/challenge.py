"""Challenge parts: known defectives that go through the line in every shift, apart from production."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from qc.domain.errors import CommandError, UnknownPart
from qc.domain.ports import Clock, TruthStore
from qc.domain.record import InspectionRecord
from qc.domain.truth import ChallengePart, ChallengePass
from qc.domain.verdict import Decision
from qc.label.strata import judged_rejected
from qc.label.windows import Window

PER_SHIFT = 4
"""About 92 passes tell DR to +-5 points: at four a shift, a week (docs/monitoring.md)."""


@dataclass(frozen=True, slots=True)
class _Announcement:
    challenge_id: str
    camera_id: str | None
    part_id: str | None
    until: datetime


class ChallengeRegister:
    """Which known defectives exist, which are due, and which part on the line is one. Thread-safe.

    Parts are recognised by their registered part id, or by an announcement, which holds for one part and ``announce_s`` seconds.
    Announcements live in memory: after a restart the operator announces again. ``recognise`` never touches the disk.
    """

    def __init__(self, store: TruthStore, clock: Clock, *, announce_s: float = 600.0) -> None:
        self._store = store
        self._clock = clock
        self._announce = timedelta(seconds=announce_s)
        self._lock = threading.Lock()
        self._announced: list[_Announcement] = []
        self._by_part: dict[str, str] = {}
        self.reload()

    def reload(self) -> None:
        """Read the register again: after another process (the CLI) changed it, for instance at the start of a shift."""
        by_part = {part.part_id: part.challenge_id for part in self._store.challenge_parts()}
        with self._lock:
            self._by_part = by_part

    def register(self, challenge_id: str, *, part_id: str, variant: str, defect_type: str, severity: str) -> ChallengePart:
        """Raises StoreError when the id or the part id is taken, CommandError ``bad_value`` when a field is empty."""
        for name, value in (
            ("challenge_id", challenge_id),
            ("part_id", part_id),
            ("variant", variant),
            ("defect_type", defect_type),
        ):
            if not value.strip():
                raise CommandError("bad_value", f"{name} of a challenge part must not be empty")
        part = ChallengePart(challenge_id, part_id, variant, defect_type, severity, self._clock.now())
        self._store.register_challenge(part)
        self.reload()
        return part

    def retire(self, challenge_id: str) -> None:
        """Raises UnknownPart."""
        self._store.retire_challenge(challenge_id, self._clock.now())
        self.reload()

    def announce(self, challenge_id: str, *, camera_id: str | None = None, part_id: str | None = None) -> None:
        """The next part (of that camera, or with that part id) is this challenge part. Raises CommandError ``unknown_challenge``."""
        if challenge_id not in {part.challenge_id for part in self._store.challenge_parts()}:
            raise CommandError("unknown_challenge", f"no challenge part {challenge_id!r} is registered; see `qc challenge list`")
        with self._lock:
            self._announced.append(_Announcement(challenge_id, camera_id, part_id, self._clock.now() + self._announce))

    def recognise(self, part_id: str, camera_id: str) -> str | None:
        """challenge_id of a part on the line, None for production. Uses up the announcement that fits."""
        with self._lock:
            if self._announced:
                now = self._clock.now()
                self._announced = [one for one in self._announced if one.until > now]
                for one in self._announced:
                    if one.camera_id in (None, camera_id) and one.part_id in (None, part_id):
                        self._announced.remove(one)
                        return one.challenge_id
            return self._by_part.get(part_id)

    def passed(self, record: InspectionRecord) -> ChallengePass | None:
        """Remember the pass of a challenge part; None for production, and for a part that no model judged (it stays due)."""
        rejected = judged_rejected(record)
        if record.challenge_id is None or rejected is None or record.verdict.decision is Decision.NOT_INSPECTED:
            return None
        one = ChallengePass(record.event_id, record.challenge_id, record.shift, record.decided_at, rejected)
        self._store.add_pass(one)
        return one

    def rotation(self, variant: str, window: Window, size: int = PER_SHIFT) -> list[ChallengePart]:
        """The challenge parts of a window; the same list all through it. Fewer than ``size`` when fewer are registered."""
        earlier = self._store.passes(until=window.start)
        last_pass = {one.challenge_id: one.passed_at for one in earlier}
        parts = [part for part in self._store.challenge_parts() if part.variant == variant]
        return rotate(parts, last_pass, size)

    def due(self, variant: str, window: Window, size: int = PER_SHIFT) -> list[ChallengePart]:
        """What is left of the window's rotation."""
        done = {one.challenge_id for one in self._store.passes(since=window.start, until=window.end)}
        return [part for part in self.rotation(variant, window, size) if part.challenge_id not in done]

    def part(self, challenge_id: str) -> ChallengePart:
        """Raises UnknownPart; retired parts are found too, for their past passes."""
        for part in self._store.challenge_parts(include_retired=True):
            if part.challenge_id == challenge_id:
                return part
        raise UnknownPart(f"no challenge part {challenge_id!r} is registered")


def rotate(parts: Sequence[ChallengePart], last_pass: dict[str, datetime], size: int) -> list[ChallengePart]:
    """Pick ``size`` parts: spread over defect type x severity first, the least recently used (never used: first) within a cell.

    Cells themselves take turns by their least recently used part, so rare types are not forgotten when there are more cells than picks.
    """

    def staleness(part: ChallengePart) -> tuple[bool, float, str]:
        used = last_pass.get(part.challenge_id)
        return (used is not None, used.timestamp() if used else 0.0, part.challenge_id)

    left = sorted(parts, key=staleness)
    picked: list[ChallengePart] = []
    per_cell: Counter[tuple[str, str]] = Counter()
    while left and len(picked) < size:
        chosen = min(left, key=lambda part: (per_cell[part.defect_type, part.severity], staleness(part)))
        left.remove(chosen)
        picked.append(chosen)
        per_cell[chosen.defect_type, chosen.severity] += 1
    return picked

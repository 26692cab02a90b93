"""A line that has inspected textured parts, with every part asked for a label; for back-tests and exports."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
from tests.system.edge_process import write_settings
from tests.unit.line.test_loop import until

from qc.domain.frame import Pixels
from qc.domain.record import InspectionRecord
from qc.domain.truth import Label, Purpose, SampleTicket, Truth
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import ScriptedSource
from qc.ingest.trigger import EachFrame
from qc.record.database import Database
from qc.record.store import SqliteRecordStore
from qc.record.truth_store import SqliteTruthStore
from qc.settings import load_line, load_recipes
from qc.wiring import Edge, build_edge


def textured(number: int, level: int) -> Pixels:
    rng = np.random.default_rng(number)
    return np.clip(rng.normal(level, 25, (32, 32, 3)), 0, 255).astype(np.uint8)


class _Unhurried:
    """Gives a part only when the archive has room: no picture of these tests may be dropped under load."""

    def __init__(self, levels: Sequence[int]) -> None:
        self._levels = levels
        self.edge: Edge | None = None

    def __iter__(self) -> Iterator[Pixels]:
        for number, level in enumerate(self._levels):
            until(lambda: self.edge is not None and self.edge.archive.status().queued + self.edge.line.waiting < 4)
            yield textured(number, level)


def record_parts(folder: Path, levels: Sequence[int], *, sampling: bool = True) -> tuple[Path, list[InspectionRecord]]:
    """The settings file and the records, oldest first. sampling False: nobody is asked for labels, and only rejects' pictures are kept."""
    config = write_settings(folder, 1, mqtt="enabled = false", sampling=sampling)
    settings = load_line(config, {})
    source = ScriptedSource("cam1", _Unhurried(levels))
    edge = build_edge(settings, load_recipes(settings.recipes.directory), cameras=[TriggeredCamera(source, EachFrame())])
    source._script.edge = edge
    edge.start()
    assert until(edge.line.finished, 60)
    edge.stop()
    with closing(Database(settings.storage.directory / "qc.sqlite3")) as database:
        records = SqliteRecordStore(database).find(limit=10_000)
    return config, sorted(records, key=lambda record: record.seq)


def say(config: Path, record: InspectionRecord, truth: Truth, *, purpose: Purpose | None = None, round_: int = 1) -> None:
    """Label a part: its estimate ticket, or a new ticket of another purpose."""
    settings = load_line(config, {})
    with closing(Database(settings.storage.directory / "qc.sqlite3")) as database:
        store = SqliteTruthStore(database)
        tickets = store.tickets_of_part(record.part_id)
        if purpose is None:
            ticket = tickets[0]
        else:
            now = record.decided_at
            name = f"{record.event_id}-{purpose.value}-{round_}"
            ticket = SampleTicket(
                name, record.event_id, record.part_id, record.shift, "s", 1.0, "p", purpose, now, now + timedelta(days=1), round_
            )  # fmt: skip
            store.add(tickets=[ticket])
        kind = "spot" if truth is Truth.DEFECT else ""
        store.add(Label(f"l-{ticket.ticket_id}", ticket.ticket_id, truth, kind, "ann", record.decided_at, review_round=round_))

"""Why a part was labelled travels with it: a picked part is no fair sample, and must not judge a model as if it were one."""

from datetime import timedelta
from pathlib import Path

from tests.unit.goals.world import World

from qc.domain.truth import Purpose
from qc.label.draw import training_ticket
from qc.record.part_search import PartQuery, PartSearch


def test_the_purpose_of_a_label_is_found_with_the_part(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.shift(0, parts=300, labels=30)
    search = PartSearch(world.database)
    unasked = search.find(PartQuery(label="none", limit=1))[0]
    asked = search.find(PartQuery(label="any", limit=1))[0]
    assert (unasked.purpose, asked.purpose) == (None, Purpose.ESTIMATE)
    now = world.clock.now()
    for part in (unasked, asked):  # both are picked for a training set as well
        ticket = training_ticket(part.record, "looks new", now, timedelta(hours=1))
        world.truth.add(tickets=[ticket])
        world.intake.submit({"ticket_id": ticket.ticket_id, "truth": "good", "labeller": "zoe"})
    found = {part.record.event_id: part.purpose for part in search.find(PartQuery(label="any", limit=500))}
    assert found[unasked.record.event_id] is Purpose.TRAINING
    assert found[asked.record.event_id] is Purpose.ESTIMATE  # drawn with a known chance: still part of the fair sample
    world.database.close()

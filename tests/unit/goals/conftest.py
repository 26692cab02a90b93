"""One small made-up line for all tests that only read: eight decayed shifts, then eight good ones with another model."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.unit.goals.world import MONDAY, Rates, World

from qc.goals.period import Period

DECAYED = Rates(dr=0.68, fpr=0.42, prevalence=0.08, brightness=100)
HEALTHY = Rates(dr=0.94, fpr=0.08, prevalence=0.08)
SHIFTS_EACH = 8


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("line"), seed=4)
    for k in range(SHIFTS_EACH):
        rejects = made.shift(k, parts=300, rates=DECAYED, labels=60)
        if k < 2:
            unseen = [event for event in rejects if not made.truth.answers_of_event(event)]  # so that only the note decides
            made.halt(MONDAY + timedelta(hours=8 * k + 4), unseen[:3], note="" if k else "needless: lamp reflection")
    for k in range(SHIFTS_EACH, 2 * SHIFTS_EACH):
        made.shift(k, parts=300, rates=HEALTHY, labels=60, model="m2")
    yield made
    made.database.close()


@pytest.fixture(scope="session")
def before(world: World) -> Period:
    return world.reader.read(MONDAY, MONDAY + timedelta(hours=8 * SHIFTS_EACH))


@pytest.fixture(scope="session")
def after(world: World) -> Period:
    start = MONDAY + timedelta(hours=8 * SHIFTS_EACH)
    return world.reader.read(start, start + timedelta(hours=8 * SHIFTS_EACH))


@pytest.fixture(scope="session")
def whole(world: World) -> Period:
    return world.reader.read(MONDAY, MONDAY + timedelta(days=7))

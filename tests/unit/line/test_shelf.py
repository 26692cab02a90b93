"""Setups ready before they are needed; the last part of each camera."""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from qc.domain.errors import BundleError, CommandError
from qc.domain.frame import Shot
from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.inspection.fake import FakeInspector
from qc.inspection.tiny import tiny_card
from qc.line.latest import LatestParts
from qc.line.shelf import Shelf

CELL = Recipe(variant="cell", model_id="m1", review_at=0.4, reject_at=0.6)
RECIPES = {
    "cell": CELL,
    "twin": replace(CELL, variant="twin", part_id_prefixes=("T-", "TT")),
    "other": replace(CELL, variant="other", model_id="m2", part_id_prefixes=("O-",)),
}


class Loads:
    """Counts what is loaded; refuses the models that are named."""

    def __init__(self, *refused: str) -> None:
        self.loaded: list[str] = []
        self.refused = set(refused)

    def __call__(self, model_id: str) -> Inspector:
        self.loaded.append(model_id)
        time.sleep(0.01)
        if model_id in self.refused:
            raise BundleError(f"{model_id}: hash differs")
        return FakeInspector(tiny_card(model_id))


def shot(part_id: str) -> Shot:
    return Shot(part_id=part_id, camera_id="cam1", triggered_ns=0, triggered_at=datetime.now(UTC), frame=None)


def test_variants_that_share_a_model_share_the_inspector_and_load_it_once() -> None:
    load = Loads()
    shelf = Shelf(RECIPES, load)
    assert shelf.setup("cell").inspector is shelf.setup("twin").inspector
    assert shelf.setup("twin").recipe.variant == "twin"
    assert load.loaded == ["m1"]
    assert shelf.variants() == ["cell", "other", "twin"]


def test_a_model_is_loaded_once_also_when_two_threads_ask_at_once() -> None:
    load = Loads()
    shelf = Shelf(RECIPES, load)
    threads = [threading.Thread(target=shelf.setup, args=("other",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert load.loaded == ["m2"]


def test_refusals_name_the_reason_and_a_refused_model_is_tried_again() -> None:
    load = Loads("m2")
    shelf = Shelf(RECIPES, load)
    with pytest.raises(CommandError, match="cell, other, twin") as unknown:
        shelf.setup("third")
    assert unknown.value.code == "unknown_variant"
    with pytest.raises(CommandError, match="hash differs") as refused:
        shelf.setup("other")
    assert refused.value.code == "model_refused"
    load.refused.clear()  # the bundle was repaired
    assert shelf.setup("other").inspector.card.model_id == "m2"


def test_looking_at_a_recipe_loads_nothing() -> None:
    load = Loads()
    shelf = Shelf(RECIPES, load)
    assert shelf.recipe("other") == RECIPES["other"]
    assert shelf.recipe("third") is None
    assert load.loaded == []


def test_a_part_id_chooses_its_recipe_and_the_rest_stays_with_the_active_one() -> None:
    load = Loads()
    shelf = Shelf(RECIPES, load)
    for variant in shelf.with_part_id_rule():
        shelf.setup(variant)
    assert sorted(load.loaded) == ["m1", "m2"]
    active = shelf.setup("cell")
    assert shelf.by_part_id(shot("O-17"), active).recipe.variant == "other"
    assert shelf.by_part_id(shot("TT9"), active).recipe.variant == "twin"
    assert shelf.by_part_id(shot("X-1"), active) is active
    other = shelf.setup("other")
    assert shelf.by_part_id(shot("O-18"), other) is other
    assert sorted(load.loaded) == ["m1", "m2"]  # nothing was loaded while a part waited


def test_a_refused_model_of_a_part_id_rule_is_noticed_before_the_first_part() -> None:
    shelf = Shelf(RECIPES, Loads("m2"))
    assert shelf.with_part_id_rule() == ["twin", "other"]
    with pytest.raises(CommandError, match="m2: hash differs"):
        shelf.setup("other")


def test_the_latest_part_is_kept_per_camera() -> None:
    latest = LatestParts()
    assert latest.of("cam1") is None

    class Record:
        def __init__(self, camera_id: str) -> None:
            self.camera_id = camera_id

    for camera in ("cam1", "cam2", "cam1"):
        record = Record(camera)
        latest.inspected(record, shot("p"), None)
    assert latest.of("cam1").record is record
    assert latest.of("cam2").record is not record

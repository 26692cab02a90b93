"""Recorded input against stored output: the bundled model in the real line gives the same verdicts on every run.

After a change that is meant to change them (another model, recipe or preprocessing), rewrite the expectations and look at the
difference in the commit:

    python -m pytest tests/replay --update-replay
"""

import importlib.util
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.replay.sequence import sequence

from qc.commands.demo_cells import choose_cells
from qc.domain.record import InspectionRecord
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import ScriptedSource
from qc.ingest.folder import load
from qc.ingest.lossless import Item
from qc.ingest.trigger import EachFrame
from qc.settings import load_line, load_recipes
from qc.wiring import build_edge

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
SCORE_TOLERANCE = 2e-3
"""Twice what a bundle must reproduce of its golden vectors at load: processors round differently."""
AREA_TOLERANCE = 0.02
"""Of the suspicious share of the picture; the map is coarse, and a cell of it may lie on the threshold."""
UPDATE = "python -m pytest tests/replay --update-replay"


def inspect(items: Sequence[Item], folder: Path) -> tuple[list[InspectionRecord], str]:
    """The records of the items in order, and the model's hash. The shipped recipe judges, but a busy machine may take its time."""
    shipped = load_line(ROOT / "configs" / "line.toml", {})
    settings = shipped.model_copy(
        update={
            "storage": shipped.storage.model_copy(update={"directory": folder, "min_free_mb": 1.0}),
            "mqtt": shipped.mqtt.model_copy(update={"enabled": False}),
        }
    )
    recipes = {name: replace(one, deadline_ms=600_000.0) for name, one in load_recipes(settings.recipes.directory).items()}
    edge = build_edge(settings, recipes, cameras=[TriggeredCamera(ScriptedSource("cam1", items), EachFrame())])
    edge.start()
    try:
        end = time.monotonic() + 100
        while not edge.line.finished() and time.monotonic() < end:
            time.sleep(0.02)
        edge.line.stop()
        records = sorted(edge.store.find(limit=10_000), key=lambda record: record.seq)
        return records, edge.line.setup.inspector.card.sha256
    finally:
        edge.stop()


def said(record: InspectionRecord) -> dict[str, Any]:
    """What is compared of a record."""
    return {
        "part_id": record.part_id,
        "verdict": record.verdict.decision.value,
        "reason": record.verdict.reason.value,
        "score": None if record.score is None else round(record.score, 5),
        "regions": len(record.regions),
        "area": round(sum(region.area for region in record.regions), 4),
    }


def compare(name: str, records: list[InspectionRecord], sha256: str, *, update: bool) -> None:
    """Hold the records against ``<name>.json``, or write it."""
    path = HERE / f"{name}.json"
    if update:
        parts = ",\n  ".join(json.dumps(said(record)) for record in records)
        path.write_text(f'{{\n "model_sha256": "{sha256}",\n "parts": [\n  {parts}\n ]\n}}\n', "utf-8")
        return
    stored = json.loads(path.read_text("utf-8"))
    assert stored["model_sha256"] == sha256, f"the bundled model has changed; if that is meant: {UPDATE}"
    assert [record.part_id for record in records] == [part["part_id"] for part in stored["parts"]]
    for record, expected in zip(records, stored["parts"], strict=True):
        differs = difference(record, said(record), expected)
        assert not differs, f"{record.part_id}: {differs}; if that is meant: {UPDATE}"


def difference(record: InspectionRecord, now: dict[str, Any], then: dict[str, Any]) -> str:
    """What differs beyond the tolerance, in words. A verdict may differ only where the score lies on a threshold."""
    if (now["score"] is None) != (then["score"] is None):
        return f"score {now['score']} instead of {then['score']}"
    on_threshold = False
    if now["score"] is not None:
        if abs(now["score"] - then["score"]) > SCORE_TOLERANCE:
            return f"score {now['score']} instead of {then['score']}"
        on_threshold = any(abs(then["score"] - at) <= SCORE_TOLERANCE for at in (record.review_at, record.reject_at))
    if not on_threshold and (now["verdict"], now["reason"]) != (then["verdict"], then["reason"]):
        return f"{now['verdict']} ({now['reason']}) instead of {then['verdict']} ({then['reason']})"
    if abs(now["regions"] - then["regions"]) > 1:
        return f"{now['regions']} regions instead of {then['regions']}"
    if abs(now["area"] - then["area"]) > AREA_TOLERANCE:
        return f"suspicious area {now['area']} instead of {then['area']}"
    return ""


def test_generated_pictures(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    records, sha256 = inspect(sequence(), tmp_path)
    compare("generated", records, sha256, update=request.config.getoption("--update-replay"))


def test_real_cells_that_the_model_has_not_seen(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        pytest.skip("the demo extra with the elpv images is not installed")
    update = bool(request.config.getoption("--update-replay"))
    recipe = load_recipes(ROOT / "configs" / "recipes")["solar-mono"]
    bundle = ROOT / "models" / recipe.model_id
    if update:
        mono, poly = choose_cells(30, 10, bundle, seed=1)
        names = list(dict.fromkeys(cell.path.name for cell in mono + poly))
    else:
        names = [f"{part['part_id']}.png" for part in json.loads((HERE / "elpv.json").read_text("utf-8"))["parts"]]
    trained = set(json.loads((bundle / "split.json").read_text("utf-8"))["training"])
    paths = {path.name: path for path in (Path(spec.origin).parent / "data").rglob("*.png")}
    labelled = {path.relative_to(Path(spec.origin).parent / "data").as_posix() for path in paths.values() if path.name in names}
    assert not labelled & trained, f"the model has been trained on cells of this replay; choose others: {UPDATE}"
    records, sha256 = inspect([load(paths[name], Path(name).stem, name, 10.0) for name in names], tmp_path)
    compare("elpv", records, sha256, update=update)


def test_the_comparison_notices_what_matters(tmp_path: Path) -> None:
    records, _ = inspect(sequence()[:2], tmp_path)
    record, now = records[1], said(records[1])
    assert difference(record, now, now) == ""
    assert difference(record, now, {**now, "score": now["score"] + SCORE_TOLERANCE / 2}) == ""
    assert "score" in difference(record, now, {**now, "score": now["score"] + 2 * SCORE_TOLERANCE})
    assert "score" in difference(record, now, {**now, "score": None})
    assert "instead of REJECTED" in difference(record, now, {**now, "verdict": "REJECTED"})
    on_threshold = {**now, "score": record.review_at}
    assert difference(record, on_threshold, {**on_threshold, "verdict": "REVIEW"}) == ""
    assert "regions" in difference(record, now, {**now, "regions": now["regions"] + 2})
    assert "area" in difference(record, now, {**now, "area": now["area"] + 2 * AREA_TOLERANCE})

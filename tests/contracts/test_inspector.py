"""The Inspector port: what the line may rely on, for the real session and its fake."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from qc.domain.errors import InspectionError
from qc.domain.ports import Inspector, Prepared
from qc.domain.recipe import Recipe
from qc.inspection.fake import FakeInspector
from qc.inspection.session import Runtime, load_inspector
from qc.inspection.tiny import tiny_card, write_tiny_bundle

RECIPE = Recipe(variant="v", model_id="tiny", review_at=0.4, reject_at=0.6)
HALF = Recipe(variant="v", model_id="tiny", review_at=0.4, reject_at=0.6, roi=((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))


@pytest.fixture(params=["onnx", "onnx_embedding", "fake", "fake_embedding"])
def inspector(request: pytest.FixtureRequest, tmp_path: Path) -> Inspector:
    kind, _, embedding = request.param.partition("_")
    if kind == "fake":
        return FakeInspector(tiny_card(embedding=bool(embedding)))
    write_tiny_bundle(tmp_path, embedding=bool(embedding))
    return load_inspector(tmp_path / "tiny", Runtime(intra_op_threads=1))


def grey(value: int, height: int = 50, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_prepared_is_a_fresh_tensor_of_the_cards_size(inspector: Inspector) -> None:
    pixels = grey(7, 32, 32)
    prepared = inspector.prepare(pixels, RECIPE)
    assert prepared.tensor.shape == (1, inspector.card.input.height, inspector.card.input.width, 3)
    assert prepared.tensor.dtype == np.uint8
    assert not np.shares_memory(prepared.tensor, pixels)
    assert prepared.view == (0.0, 0.0, 1.0, 1.0)


def test_inspection_has_the_contracted_types_and_ranges(inspector: Inspector) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    inspection = inspector.inspect(inspector.prepare(pixels, RECIPE))
    assert isinstance(inspection.score, float)
    assert 0 <= inspection.score <= 1
    assert inspection.defect_map.dtype == np.float32
    assert inspection.defect_map.ndim == 2
    assert 0 <= inspection.defect_map.min() <= inspection.defect_map.max() <= 1
    assert inspection.model_id == inspector.card.model_id
    if inspector.card.embedding_dim:
        assert inspection.embedding is not None
        assert inspection.embedding.shape == (inspector.card.embedding_dim,)
        assert inspection.embedding.dtype == np.float32
    else:
        assert inspection.embedding is None


@pytest.mark.parametrize("value", [0, 51, 128, 255])
def test_brightness_is_the_score(inspector: Inspector, value: int) -> None:
    inspection = inspector.inspect(inspector.prepare(grey(value), RECIPE))
    assert inspection.score == pytest.approx(value / 255, abs=1e-5)
    assert inspection.defect_map == pytest.approx(value / 255, abs=1e-5)


def test_view_follows_the_recipes_roi(inspector: Inspector) -> None:
    pixels = grey(0)
    pixels[:, 40:] = 255
    inspection = inspector.inspect(inspector.prepare(pixels, HALF))
    assert inspection.view == (0.5, 0.0, 0.5, 1.0)
    assert inspection.score == pytest.approx(1.0, abs=1e-5)


def test_same_input_same_output_and_no_shared_memory(inspector: Inspector) -> None:
    prepared = inspector.prepare(grey(90), RECIPE)
    first = inspector.inspect(prepared)
    kept = first.defect_map.copy()
    inspector.inspect(inspector.prepare(grey(250), RECIPE))
    second = inspector.inspect(prepared)
    assert first.score == second.score
    np.testing.assert_array_equal(first.defect_map, kept)
    np.testing.assert_array_equal(second.defect_map, kept)


def test_prepare_and_inspect_run_in_many_threads(inspector: Inspector) -> None:
    def judge(value: int) -> float:
        return inspector.inspect(inspector.prepare(grey(value), RECIPE)).score

    values = [index % 256 for index in range(300)]
    with ThreadPoolExecutor(6) as pool:
        scores = list(pool.map(judge, values))
    assert scores == pytest.approx([value / 255 for value in values], abs=1e-5)


def test_wrong_frame_is_an_inspection_error(inspector: Inspector) -> None:
    with pytest.raises(InspectionError, match="uint8 BGR"):
        inspector.prepare(np.zeros((5, 5), np.uint8), RECIPE)
    with pytest.raises(InspectionError, match="uint8 BGR"):
        inspector.prepare(np.zeros((5, 5, 3), np.float32), RECIPE)
    with pytest.raises(InspectionError, match="uint8 BGR"):
        inspector.prepare(np.zeros((0, 5, 3), np.uint8), RECIPE)


def test_tensor_of_another_model_is_an_inspection_error_and_the_next_part_is_fine(inspector: Inspector) -> None:
    with pytest.raises(InspectionError, match="model"):
        inspector.inspect(Prepared(np.zeros((1, 8, 8, 3), np.uint8), (0.0, 0.0, 1.0, 1.0), 0.0))
    assert inspector.inspect(inspector.prepare(grey(51), RECIPE)).score == pytest.approx(0.2, abs=1e-5)


def test_the_fake_and_the_tiny_model_agree_on_any_picture(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, embedding=True)
    real = load_inspector(tmp_path / "tiny", Runtime(intra_op_threads=1))
    fake = FakeInspector(real.card)
    for seed in range(20):
        pixels = np.random.default_rng(seed).integers(0, 256, (40 + seed, 90 - seed, 3), dtype=np.uint8)
        expected = real.inspect(real.prepare(pixels, HALF))
        got = fake.inspect(fake.prepare(pixels, HALF))
        assert got.score == pytest.approx(expected.score, abs=1e-5)
        np.testing.assert_allclose(got.defect_map, expected.defect_map, atol=1e-5)
        np.testing.assert_allclose(got.embedding, expected.embedding, atol=1e-4)


def test_a_script_replaces_scores_in_order_and_then_ends() -> None:
    fake = FakeInspector(script=[0.9, InspectionError("out of memory"), 0.1])
    prepared = fake.prepare(grey(51), RECIPE)
    assert fake.inspect(prepared).score == 0.9
    with pytest.raises(InspectionError, match="out of memory"):
        fake.inspect(prepared)
    assert fake.inspect(prepared).score == 0.1
    assert fake.inspect(prepared).score == pytest.approx(0.2, abs=1e-5)

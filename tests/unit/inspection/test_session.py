"""The session: loading, refusing, falling back, and living beside another one."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from structlog.testing import capture_logs

from qc.domain.errors import BundleError, ConfigError, InspectionError
from qc.domain.model import GoldenVector, ModelCard
from qc.inspection.bundle import write_bundle
from qc.inspection.golden import golden_recipe
from qc.inspection.session import PROVIDERS, OnnxInspector, Runtime, load_inspector, seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes, write_tiny_bundle

ONE_THREAD = Runtime(intra_op_threads=1)
RECIPE = golden_recipe("tiny")


def grey(value: int) -> np.ndarray:
    return np.full((32, 32, 3), value, np.uint8)


def score(inspector: OnnxInspector, value: int) -> float:
    return inspector.inspect(inspector.prepare(grey(value), RECIPE)).score


def with_weights(**values: float) -> bytes:
    proto = onnx.load_model_from_string(tiny_model_bytes())
    for tensor in proto.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(np.array(values[tensor.name], np.float32), tensor.name))
    return bytes(proto.SerializeToString())


def edited(edit: Callable[[Any], object]) -> bytes:
    proto = onnx.load_model_from_string(tiny_model_bytes())
    edit(proto)
    return bytes(proto.SerializeToString())


def test_loading_logs_which_model_runs_where(tmp_path: Path):
    card = write_tiny_bundle(tmp_path)
    with capture_logs() as logs:
        inspector = load_inspector(tmp_path / "tiny", ONE_THREAD)
    assert inspector.card == card
    (entry,) = logs
    assert entry["event"] == "model_loaded"
    assert entry["model_id"] == "tiny"
    assert entry["sha256"] == card.sha256
    assert entry["provider"] == "CPUExecutionProvider"


@pytest.mark.parametrize("what", ["score", "map_mean"])
def test_a_golden_vector_that_does_not_come_out_refuses_the_bundle(tmp_path: Path, what: str):
    write_tiny_bundle(tmp_path)
    path = tmp_path / "tiny" / "card.json"
    data = json.loads(path.read_text())
    data["golden"][5][what] += 0.002
    path.write_text(json.dumps(data))
    with pytest.raises(
        BundleError, match=r"golden vector blobs/2 expected score .* got .* on CPUExecutionProvider.*0\.001 apart"
    ):
        load_inspector(tmp_path / "tiny", ONE_THREAD)
    data["golden_tolerance"] = 0.003
    path.write_text(json.dumps(data))
    load_inspector(tmp_path / "tiny", ONE_THREAD)


def test_golden_vectors_prove_the_preprocessing_too(tmp_path: Path):
    write_tiny_bundle(tmp_path)
    path = tmp_path / "tiny" / "card.json"
    data = json.loads(path.read_text())
    data["input"]["interpolation"] = "linear"
    path.write_text(json.dumps(data))
    with pytest.raises(BundleError, match="golden vector"):
        load_inspector(tmp_path / "tiny", ONE_THREAD)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"white": 0.0, "one": float("inf")}, "score of (nan|inf)"),
        ({"white": float("nan"), "one": float("nan")}, "score of nan"),
        ({"white": 51.0, "one": 5.0}, "score of 5"),
        ({"white": -255.0, "zero": -1.0}, "score of -1"),
    ],
)
def test_an_output_that_is_no_probability_is_an_inspection_error(weights: dict[str, float], message: str):
    inspector = OnnxInspector(with_weights(**weights), tiny_card(), ONE_THREAD)
    with pytest.raises(InspectionError, match=message):
        score(inspector, 255)


def test_a_map_out_of_range_under_a_good_score_is_an_inspection_error():
    inspector = OnnxInspector(with_weights(white=51.0, one=5.0), tiny_card(), ONE_THREAD)
    pixels = grey(0)
    pixels[:4, :4] = 255
    with pytest.raises(InspectionError, match="map of 5"):
        inspector.inspect(inspector.prepare(pixels, RECIPE))


def test_rounding_beyond_one_is_clipped():
    assert score(OnnxInspector(with_weights(white=254.99, one=2.0), tiny_card(), ONE_THREAD), 255) == 1.0


def test_an_output_of_another_shape_is_an_inspection_error():
    def keep_dimensions(proto: Any) -> None:
        node = proto.graph.node[-1]
        next(attribute for attribute in node.attribute if attribute.name == "keepdims").i = 1
        proto.graph.output[0].type.tensor_type.ClearField("shape")

    inspector = OnnxInspector(edited(keep_dimensions), tiny_card(), ONE_THREAD)
    with pytest.raises(InspectionError, match=r"score \(1, 1, 1\), map \(1, 8, 8\)"):
        score(inspector, 9)


def test_an_embedding_of_another_length_is_an_inspection_error():
    card = replace(tiny_card(embedding=True), embedding_dim=7)
    inspector = OnnxInspector(tiny_model_bytes(embedding=True), card, ONE_THREAD)
    with pytest.raises(InspectionError, match=r"embedding.*\(1, 3\)"):
        score(inspector, 9)


def test_a_model_that_fails_on_golden_pictures_is_never_sealed(tmp_path: Path):
    with pytest.raises(BundleError, match="nothing was written"):
        seal_bundle(tmp_path / "tiny", with_weights(white=51.0, one=5.0), tiny_card(), ONE_THREAD)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_fails_at_warm_up_refuses_the_bundle(tmp_path: Path):
    card: ModelCard = replace(tiny_card(), golden=(GoldenVector("noise", 1, 0.5, 0.5),))
    write_bundle(tmp_path / "tiny", with_weights(white=0.0, one=float("inf")), card)
    with pytest.raises(BundleError, match="refused"):
        load_inspector(tmp_path / "tiny", ONE_THREAD)


def test_a_graph_that_onnxruntime_refuses_is_a_bundle_error():
    with pytest.raises(BundleError, match="model tiny: onnxruntime refuses it"):
        OnnxInspector(edited(lambda proto: proto.graph.node.pop(0)), tiny_card(), ONE_THREAD)


def test_an_absent_provider_is_logged_and_passed_over():
    absent = tuple(name for name, (provider, _) in PROVIDERS.items() if provider not in ort.get_available_providers())
    assert absent  # no build of onnxruntime has them all
    with capture_logs() as logs:
        inspector = OnnxInspector(tiny_model_bytes(), tiny_card(), Runtime(providers=absent, intra_op_threads=1))
    assert [(entry["event"], entry["provider"]) for entry in logs] == [("provider_unavailable", name) for name in absent]
    assert inspector.provider == "CPUExecutionProvider"
    assert score(inspector, 51) == pytest.approx(0.2, abs=1e-5)


def test_an_unknown_provider_names_the_allowed_ones():
    with pytest.raises(ConfigError, match=r"'gpu' is unknown; allowed are cpu, cuda, tensorrt, openvino"):
        Runtime(providers=("gpu",))


@pytest.mark.parametrize("runtime", [Runtime(), Runtime(intra_op_threads=2, spin=True), Runtime(warmup_runs=0)])
def test_every_runtime_gives_the_same_scores(tmp_path: Path, runtime: Runtime):
    write_tiny_bundle(tmp_path)
    assert score(load_inspector(tmp_path / "tiny", runtime), 128) == pytest.approx(128 / 255, abs=1e-5)


def test_the_previous_model_goes_on_while_the_next_is_loaded_and_refused(tmp_path: Path):
    write_tiny_bundle(tmp_path, "bright")
    write_tiny_bundle(tmp_path, "contrast", kind="contrast", height=48, width=64)
    write_tiny_bundle(tmp_path, "broken")
    (tmp_path / "broken" / "model.onnx").write_bytes(b"x")
    active = load_inspector(tmp_path / "bright", ONE_THREAD)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(lambda: [score(active, value) for value in range(256)])
        candidate = load_inspector(tmp_path / "contrast", ONE_THREAD)
        with pytest.raises(BundleError, match="SHA-256"):
            load_inspector(tmp_path / "broken", ONE_THREAD)
        together = pool.submit(lambda: [score(candidate, value) for value in range(256)])
        assert running.result() == pytest.approx([value / 255 for value in range(256)], abs=1e-5)
        assert together.result() == pytest.approx([0.0] * 256, abs=1e-5)

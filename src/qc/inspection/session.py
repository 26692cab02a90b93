"""The model at work: an onnxruntime session behind the Inspector port."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import structlog
from numpy.typing import NDArray

from qc.domain.errors import BundleError, ConfigError, InspectionError
from qc.domain.frame import Pixels
from qc.domain.inspection import Inspection
from qc.domain.model import GoldenVector, ModelCard
from qc.domain.ports import Prepared
from qc.domain.recipe import Recipe
from qc.inspection.bundle import verify_bundle, write_bundle
from qc.inspection.golden import make_golden, measure_golden
from qc.inspection.preprocess import prepare_pixels

log = structlog.get_logger(__name__)

PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    # Reduced precision is off everywhere: thresholds were set on fp32 scores, and golden vectors would refuse the rest.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
    "tensorrt": ("TensorrtExecutionProvider", {"trt_fp16_enable": "0", "trt_int8_enable": "0"}),
    # OpenVINO runs bf16 by default where the CPU has it; that moved scores by .027.
    "openvino": ("OpenVINOExecutionProvider", {"device_type": "CPU", "precision": "FP32"}),
}
"""Configured name -> onnxruntime's name and options."""

RANGE_SLACK = 1e-4
"""Float rounding may carry a probability this far out of [0, 1]; it is clipped. Beyond it the output is wrong."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """How sessions are run on this device. The defaults were measured on two cores shared with other work.

    providers: keys of PROVIDERS in order of preference; ``cpu`` is always the last resort. intra_op_threads: threads for one
    picture, 0 lets onnxruntime take all cores. spin: let idle threads busy-wait for work; off, because on a busy box it doubled
    the latency of EfficientNet-Lite0 (12 -> 24 ms, two threads) and at 10 parts/s burnt 59 instead of 13 CPU-ms per part.
    warmup_runs: before the first part. Raises ConfigError.
    """

    providers: tuple[str, ...] = ("cpu",)
    intra_op_threads: int = 0
    spin: bool = False
    warmup_runs: int = 3

    def __post_init__(self) -> None:
        for name in self.providers:
            if name not in PROVIDERS:
                raise ConfigError(f"providers: {name!r} is unknown; allowed are {', '.join(PROVIDERS)}")
        if self.intra_op_threads < 0 or self.warmup_runs < 0:
            raise ConfigError("intra_op_threads and warmup_runs must be at least 0")


class OnnxInspector:
    """One session. Inspectors share nothing, so several cameras and the next model of a hot swap may live side by side.

    Inputs are passed as they are and outputs are fresh arrays: io binding was measured and gains 1 us of 22 (tiny model) and
    nothing on EfficientNet-Lite0, at the price of buffers that onnxruntime writes into after Python may have freed them.
    The input's shape never varies, so neither does the arena's size.

    Use ``load_inspector``; the constructor trusts the bytes and only builds the session. inspect holds no state: any number of
    threads may call it. Raises BundleError when onnxruntime refuses the graph.
    """

    def __init__(self, model: bytes, card: ModelCard, runtime: Runtime | None = None) -> None:
        self.card = card
        self.runtime = runtime or Runtime()
        self._session = _open_session(model, card, self.runtime)
        self.provider: str = self._session.get_providers()[0]
        """onnxruntime's name of the provider that really runs the graph."""
        self._outputs = ["score", "map"] + (["embedding"] if card.embedding_dim else [])

    def prepare(self, pixels: Pixels, recipe: Recipe) -> Prepared:
        started_ns = time.perf_counter_ns()
        tensor, view = prepare_pixels(pixels, self.card.input, recipe.roi, recipe.ignore)
        return Prepared(tensor, view, (time.perf_counter_ns() - started_ns) / 1e6)

    def inspect(self, prepared: Prepared) -> Inspection:
        started_ns = time.perf_counter_ns()
        try:
            outputs = self._session.run(self._outputs, {"image": prepared.tensor})
        except Exception as error:  # onnxruntime's exceptions share no base below Exception
            raise InspectionError(f"model {self.card.model_id} failed: {error}") from error
        score, defect_map, embedding = self._checked(outputs)
        return Inspection(
            score=score,
            defect_map=defect_map,
            model_id=self.card.model_id,
            view=prepared.view,
            embedding=embedding,
            preprocess_ms=prepared.preprocess_ms,
            inference_ms=(time.perf_counter_ns() - started_ns) / 1e6,
        )

    def _checked(self, outputs: Sequence[Any]) -> tuple[float, NDArray[np.float32], NDArray[np.float32] | None]:
        scores, maps = outputs[0], outputs[1]
        if scores.shape != (1,) or maps.ndim != 3 or maps.shape[0] != 1 or maps.size == 0:
            raise InspectionError(f"model {self.card.model_id} gave score {scores.shape}, map {maps.shape} for one picture")
        score = _unit(float(scores[0]), "score", self.card.model_id)
        # The map's extremes are checked (they see NaN too); values within rounding of [0, 1] are left as they are.
        _unit(float(maps.min()), "map", self.card.model_id)
        _unit(float(maps.max()), "map", self.card.model_id)
        if len(outputs) == 2:
            return score, maps[0], None
        embedding = outputs[2]
        if embedding.shape != (1, self.card.embedding_dim) or not np.isfinite(embedding).all():
            raise InspectionError(f"model {self.card.model_id} gave a wrong embedding: {embedding.shape}, or not finite")
        return score, maps[0], embedding[0]


def load_inspector(directory: Path, runtime: Runtime | None = None) -> OnnxInspector:
    """Verify the bundle, build the session, warm it up and reproduce the golden vectors. Raises BundleError."""
    started_ns = time.perf_counter_ns()
    bundle = verify_bundle(directory)
    inspector = OnnxInspector(bundle.model, bundle.card, runtime)
    warm_up(inspector)
    check_golden(inspector)
    log.info(
        "model_loaded",
        model_id=bundle.card.model_id,
        sha256=bundle.card.sha256,
        provider=inspector.provider,
        load_ms=round((time.perf_counter_ns() - started_ns) / 1e6),
    )
    return inspector


def seal_bundle(directory: Path, model: bytes, card: ModelCard, runtime: Runtime | None = None) -> ModelCard:
    """What an exporter calls: measure the golden vectors with this runtime, then write the bundle, whole or not at all.

    Returns the final card (golden vectors and sha256 filled in). Raises BundleError; nothing is left behind then.
    """
    try:
        golden = make_golden(OnnxInspector(model, card, runtime))
    except InspectionError as error:
        raise BundleError(f"{directory}: {error}; nothing was written") from error
    return write_bundle(directory, model, replace(card, golden=golden))


def warm_up(inspector: OnnxInspector) -> None:
    """Run generated pictures, so that the first part does not pay for lazy initialisation and arena growth."""
    size = inspector.card.input
    blank = Prepared(np.zeros((1, size.height, size.width, 3), np.uint8), (0.0, 0.0, 1.0, 1.0), 0.0)
    try:
        for _ in range(inspector.runtime.warmup_runs):
            inspector.inspect(blank)
    except InspectionError as error:
        raise BundleError(f"{error}; the bundle is refused") from error


def check_golden(inspector: OnnxInspector) -> None:
    """Every golden vector of the card must come out within its tolerance on this machine. Raises BundleError."""
    card = inspector.card
    for wanted in card.golden:
        try:
            got = measure_golden(inspector, wanted.kind, wanted.seed)
        except InspectionError as error:
            raise BundleError(f"golden vector {wanted.kind}/{wanted.seed}: {error}; the bundle is refused") from error
        if _distance(wanted, got) > card.golden_tolerance:
            raise BundleError(
                f"model {card.model_id}: golden vector {wanted.kind}/{wanted.seed} expected score {wanted.score:.6f} and "
                f"map mean {wanted.map_mean:.6f}, got {got.score:.6f} and {got.map_mean:.6f} on {inspector.provider}, more than "
                f"{card.golden_tolerance:g} apart: this device or library version computes something else; "
                "use the cpu provider, or export the model again and set its thresholds on this device"
            )


def _distance(wanted: GoldenVector, got: GoldenVector) -> float:
    return max(abs(wanted.score - got.score), abs(wanted.map_mean - got.map_mean))


def _unit(value: float, what: str, model_id: str) -> float:
    if not -RANGE_SLACK <= value <= 1 + RANGE_SLACK:  # also false for NaN
        raise InspectionError(f"model {model_id} gave a {what} of {value}, outside [0, 1]")
    return min(max(value, 0.0), 1.0)


def _open_session(model: bytes, card: ModelCard, runtime: Runtime) -> ort.InferenceSession:
    """Try the configured providers in order; each one that cannot be had is logged and passed over."""
    available = set(ort.get_available_providers())
    for name in dict.fromkeys((*runtime.providers, "cpu")):
        provider, options = PROVIDERS[name]
        if name == "openvino" and runtime.intra_op_threads:
            options = {**options, "num_of_threads": str(runtime.intra_op_threads)}  # it has its own thread pool
        if provider not in available:
            log.warning("provider_unavailable", provider=name, model_id=card.model_id, reason="not in this onnxruntime build")
            continue
        # The CPU stays behind every accelerator for the operators that it lacks.
        chosen = list(dict.fromkeys((provider, "CPUExecutionProvider")))
        try:
            session = ort.InferenceSession(
                model, _session_options(runtime), providers=chosen, provider_options=[options] + [{}] * (len(chosen) - 1)
            )
        except Exception as error:  # onnxruntime's exceptions share no base below Exception
            if name == "cpu":
                raise BundleError(f"model {card.model_id}: onnxruntime refuses it ({error}); export it again") from error
            log.warning("provider_unavailable", provider=name, model_id=card.model_id, reason=str(error))
            continue
        if session.get_providers()[0] == provider:
            return session
        # onnxruntime drops a provider whose libraries are missing and says so only on stderr.
        log.warning("provider_unavailable", provider=name, model_id=card.model_id, reason="its libraries did not load")
    raise BundleError(f"model {card.model_id}: this onnxruntime has no CPU provider; install the onnxruntime package again")


def _session_options(runtime: Runtime) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = runtime.intra_op_threads
    # The graph is a chain: operators run one after the other, so threads between operators have nothing to do.
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if runtime.spin else "0")
    options.log_severity_level = 3
    return options

"""INT8 attempt: mixed precision, kept only when it is faster here and costs next to nothing.

Static QDQ, per channel, calibrated on good images. The first convolutions and everything behind the backbone stay in float:
measured, whole-graph INT8 destroys distances (AUROC .98 -> .57), and the first levels have 2-5 dB signal-to-noise.
"""

import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from qc.domain.model import ModelCard
from qc.domain.record import Json
from qc.inspection.session import OnnxInspector, Runtime
from qc.training.export import inspector_scores
from qc.training.metrics import auroc

FLOAT_CONVOLUTIONS = 9
MAX_AUROC_LOSS, MAX_DR_LOSS = 0.005, 0.01
MAX_SHIFT = 0.05
"""Largest score shift (95 % of the images): the score's meaning was fitted on the fp32 graph and must survive."""

MIN_GOOD, MIN_DEFECTS = 40, 20
FASTER = 0.95
ROUNDS = 15


@dataclass(frozen=True)
class Attempt:
    """model: the INT8 graph when it was accepted, otherwise None. reason: a sentence for the card."""

    model: bytes | None
    reason: str
    measured: dict[str, Json]

    def as_json(self) -> dict[str, Json]:
        return {"used": self.model is not None, "reason": self.reason, **self.measured}


def try_int8(
    model: bytes,
    card: ModelCard,
    good: Sequence[NDArray[np.uint8]],
    judged: Sequence[NDArray[np.uint8]],
    labels: NDArray[np.int64],
    *,
    convolutions: int,
) -> Attempt:
    """good: prepared tensors to calibrate on; judged, labels: held-out tensors that decide."""
    try:
        quantised = _quantise(model, good, convolutions)
    except Exception as error:  # the quantiser raises bare exceptions of many kinds; without INT8 the model is still whole
        return Attempt(None, f"INT8 could not be made ({type(error).__name__}); fp32 is kept", {})
    runtime = Runtime(intra_op_threads=1)
    fp32, int8 = OnnxInspector(model, card, runtime), OnnxInspector(quantised, card, runtime)
    fp32_ms, int8_ms = _alternating_ms([fp32, int8], good[0])
    times: dict[str, Json] = {"fp32_ms": round(fp32_ms, 2), "int8_ms": round(int8_ms, 2)}
    if int8_ms > FASTER * fp32_ms:
        return Attempt(None, f"INT8 is not faster on this machine ({int8_ms:.1f} ms against {fp32_ms:.1f}); fp32 is kept", times)
    if labels.sum() < MIN_DEFECTS or (labels == 0).sum() < MIN_GOOD:
        reason = (
            f"INT8 is faster, but fewer than {MIN_GOOD} good and {MIN_DEFECTS} defective held-out images cannot prove its loss"
        )
        return Attempt(None, f"{reason}; fp32 is kept", times)
    before, after = inspector_scores(fp32, judged), inspector_scores(int8, judged)
    lost = (auroc(before, labels) or 0) - (auroc(after, labels) or 0)
    lost_dr = float((before[labels == 1] >= card.reject_at).mean() - (after[labels == 1] >= card.reject_at).mean())
    gained_fpr = float((after[labels == 0] >= card.reject_at).mean() - (before[labels == 0] >= card.reject_at).mean())
    facts: dict[str, Json] = {
        **times,
        "auroc_loss": round(lost, 4),
        "dr_loss": round(lost_dr, 4),
        "fpr_gain": round(gained_fpr, 4),
    }
    shift = float(np.quantile(np.abs(after - before), 0.95))
    facts["score_shift_95"] = round(shift, 4)
    if lost > MAX_AUROC_LOSS or lost_dr > MAX_DR_LOSS or gained_fpr > MAX_DR_LOSS or shift > MAX_SHIFT:
        return Attempt(None, "INT8 is faster but moves the scores or the rates at the thresholds too much; fp32 is kept", facts)
    return Attempt(quantised, "INT8 is faster and holds the rates", facts)


def _quantise(model: bytes, good: Sequence[NDArray[np.uint8]], backbone_convolutions: int) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the package is untyped
        def __init__(self) -> None:
            self.left = iter(good)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            tensor = next(self.left, None)
            return None if tensor is None else {"image": tensor[None]}

    proto = onnx.load_model_from_string(model)
    convolutions = [node.name for node in proto.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model)
        logging.disable(logging.WARNING)  # it advises preprocessing on the root logger; the exporter has folded all already
        quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=convolutions[FLOAT_CONVOLUTIONS:backbone_convolutions],
        )
        logging.disable(logging.NOTSET)
        return target.read_bytes()


def _alternating_ms(inspectors: Sequence[OnnxInspector], tensor: NDArray[np.uint8]) -> list[float]:
    """Median milliseconds of each, measured in turns, so that a busy machine slows all alike."""
    times: list[list[float]] = [[] for _ in inspectors]
    for number in range(ROUNDS + 2):
        for inspector, kept in zip(inspectors, times, strict=True):
            started = time.perf_counter()
            inspector_scores(inspector, [tensor])
            if number >= 2:
                kept.append(1000 * (time.perf_counter() - started))
    return [float(np.median(kept)) for kept in times]

"""From the torch module to one ONNX graph, and the proof that the line computes the same scores with it."""

import io
import logging
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.inliner import inline_local_functions

from qc.domain.errors import TrainingError
from qc.domain.model import InputSpec, ModelCard
from qc.domain.ports import Prepared
from qc.inspection.session import OnnxInspector
from qc.training.net import InspectionNet

OPSET = 18
PARITY_TOLERANCE = 1e-4
OUTPUTS = ("score", "map", "embedding")


def export_onnx(net: InspectionNet, spec: InputSpec) -> bytes:
    """One graph with a dynamic batch; every weight inside. Raises TrainingError."""
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # the exporter warns about its own internals
            program = torch.onnx.export(
                net,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["image"],
                output_names=list(OUTPUTS),
                dynamic_shapes={"image": {0: torch.export.Dim("N", min=1, max=1024)}},
                verbose=False,
            )
        assert program is not None
        buffer = io.BytesIO()
        program.save(buffer)  # type: ignore[arg-type]  # it takes a stream, its annotation does not say so
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        raise TrainingError(f"the export to ONNX failed: {error}") from error
    return plain_model(buffer.getvalue())


def plain_model(model: bytes) -> bytes:
    """Without functions and exporter metadata: only what the line needs."""
    proto = onnx.load_model_from_string(model)
    if len(proto.functions):
        proto = inline_local_functions(proto)
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del value.metadata_props[:]
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    return bytes(proto.SerializeToString())


def inspector_scores(inspector: OnnxInspector, tensors: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """(n,) scores of prepared (height, width, 3) tensors, one at a time as on the line."""
    view = (0.0, 0.0, 1.0, 1.0)
    return np.array([inspector.inspect(Prepared(tensor[None], view, 0.0)).score for tensor in tensors])


def check_parity(net: InspectionNet, model: bytes, card: ModelCard, tensors: Sequence[NDArray[np.uint8]]) -> float:
    """Largest score difference between torch and the line's inspector. Raises TrainingError above 1e-4 or for a flipped verdict."""
    ours = inspector_scores(OnnxInspector(model, card), tensors)
    with torch.inference_mode():
        theirs = np.array([float(net(torch.from_numpy(tensor[None]))[0]) for tensor in tensors])
    difference = float(np.abs(ours - theirs).max())
    if difference > PARITY_TOLERANCE:
        raise TrainingError(f"the exported graph differs from torch by {difference:.2g} (allowed {PARITY_TOLERANCE:g})")
    return difference

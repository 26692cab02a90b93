"""A tiny but real model: for tests, for ``qc doctor`` and for trying the line without a trained bundle.

It measures brightness, or contrast, so that anyone can predict its score by looking at the pixels.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from qc.domain.model import InputSpec, ModelCard

OPSET = 17
CELL = 4
"""Pixels per map cell along each side."""


def tiny_model_bytes(height: int = 32, width: int = 32, *, kind: str = "brightness", embedding: bool = False) -> bytes:
    """An ONNX graph as contracted by ModelCard; height and width are multiples of 4.

    brightness: the map is the mean grey of each 4 x 4 cell / 255, the score the mean of the map: a picture of constant grey g
    scores g / 255. contrast: the map is the distance of each cell from the picture's mean grey, times 2 and clipped to 1, the
    score its maximum: any constant picture scores 0. embedding: also export the mean B, G, R / 255, shape (N, 3).
    """
    tail = {"brightness": _brightness, "contrast": _contrast}[kind]()
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "white"], ["unit"]),
        helper.make_node("ReduceMean", ["unit"], ["grey"], axes=[3], keepdims=0),
        helper.make_node("Unsqueeze", ["grey", "axis_1"], ["planes"]),
        helper.make_node("AveragePool", ["planes"], ["pooled"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Squeeze", ["pooled", "axis_1"], ["cells"]),
        *tail,
    ]
    outputs = [_value("score", ["N"]), _value("map", ["N", height // CELL, width // CELL])]
    if embedding:
        nodes.append(helper.make_node("ReduceMean", ["unit"], ["embedding"], axes=[1, 2], keepdims=0))
        outputs.append(_value("embedding", ["N", 3]))
    constants = {"white": 255.0, "zero": 0.0, "one": 1.0, "two": 2.0}
    weights = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()]
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "axis_1"))
    image = helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", height, width, 3])
    graph = helper.make_graph(nodes, f"tiny_{kind}", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return bytes(model.SerializeToString())


def tiny_card(model_id: str = "tiny", height: int = 32, width: int = 32, *, embedding: bool = False) -> ModelCard:
    """Its card, still without golden vectors and hash: ``session.seal_bundle`` adds them."""
    return ModelCard(
        model_id=model_id,
        sha256="0" * 64,
        input=InputSpec(height=height, width=width),
        golden=(),
        review_at=0.4,
        reject_at=0.6,
        created_at="2026-01-01T00:00:00Z",
        opset=OPSET,
        embedding_dim=3 if embedding else 0,
        limits=("Measures brightness or contrast only; not for production.",),
    )


def write_tiny_bundle(
    directory: Path,
    model_id: str = "tiny",
    *,
    height: int = 32,
    width: int = 32,
    kind: str = "brightness",
    embedding: bool = False,
    variants: tuple[str, ...] = (),
) -> ModelCard:
    """Write ``directory/model_id`` as a complete bundle with true golden vectors; returns its card."""
    from qc.inspection.session import seal_bundle

    card = replace(tiny_card(model_id, height, width, embedding=embedding), variants=variants)
    return seal_bundle(directory / model_id, tiny_model_bytes(height, width, kind=kind, embedding=embedding), card)


def _brightness() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Clip", ["cells", "zero", "one"], ["map"]),
        helper.make_node("ReduceMean", ["map"], ["score"], axes=[1, 2], keepdims=0),
    ]


def _contrast() -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceMean", ["cells"], ["middle"], axes=[1, 2], keepdims=1),
        helper.make_node("Sub", ["cells", "middle"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["distance"]),
        helper.make_node("Mul", ["distance", "two"], ["doubled"]),
        helper.make_node("Clip", ["doubled", "zero", "one"], ["map"]),
        helper.make_node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0),
    ]


def _value(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

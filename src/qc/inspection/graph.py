"""What the ONNX graph of a bundle may contain, and that its inputs and outputs are the contracted ones."""

import math
from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # stubs would be one more dependency

from qc.domain.errors import BundleError
from qc.domain.model import ModelCard

MICROSOFT_OPERATORS = frozenset(
    [
        "BiasGelu",
        "DequantizeLinear",
        "DynamicQuantizeMatMul",
        "FastGelu",
        "FusedConv",
        "FusedGemm",
        "FusedMatMul",
        "Gelu",
        "MatMulInteger16",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "NhwcMaxPool",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearLeakyRelu",
        "QLinearMul",
        "QLinearReduceMean",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QLinearWhere",
        "QuantizeLinear",
        "QuickGelu",
    ]
)
"""com.microsoft operators that onnxruntime's own quantiser and optimiser produce; everything else of that domain is refused."""

MAX_TENSOR_CELLS = 2**28
"""1 GiB of float32 per picture: a first layer of 64 channels at half the largest allowed input (2048 x 2048)."""

REFUSED_OPERATORS = {
    **dict.fromkeys(("Loop", "Scan"), "could run for ever; a part has a deadline"),
    **dict.fromkeys(
        ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
        "is random; the same part must get the same score",
    ),
}


def check_graph(model: bytes, card: ModelCard) -> None:
    """Raises BundleError naming the model, the node or tensor at fault and the remedy."""
    where = f"model {card.model_id}"
    try:
        proto = onnx.load_model_from_string(model)
    except (DecodeError, ValueError) as error:
        raise BundleError(f"{where}: not an ONNX file ({error}); export it again") from error
    # Before the checker: it would go looking for external files.
    _refuse_external_data(proto, where)
    _check_operators(proto, where)
    _check_interface(proto, card, where)
    try:
        onnx.checker.check_model(proto)
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise BundleError(f"{where}: the ONNX checker refuses it ({str(error).strip().splitlines()[0]}); export again") from error
    _refuse_giants(inferred, where)


def _messages(root: Any) -> Iterator[Any]:
    """The message and every message inside it, whatever field it hides in (subgraphs, functions, sparse tensors ...)."""
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                waiting.extend(value if hasattr(value, "__len__") and not hasattr(value, "ListFields") else [value])


def _refuse_external_data(proto: Any, where: str) -> None:
    for message in _messages(proto):
        if isinstance(message, onnx.TensorProto) and (
            message.data_location == onnx.TensorProto.EXTERNAL or len(message.external_data) > 0
        ):
            raise BundleError(
                f"{where}: tensor {message.name!r} points to external data, which could be any file of this machine; "
                "export with all weights inside model.onnx"
            )


def _refuse_giants(inferred: Any, where: str) -> None:
    """A few bytes of graph can ask for all memory (ConstantOfShape, Expand, Tile); sizes known before a run are bounded."""
    for message in _messages(inferred):
        if isinstance(message, onnx.ValueInfoProto):
            cells = math.prod(max(dim.dim_value, 1) for dim in message.type.tensor_type.shape.dim)
            if cells > MAX_TENSOR_CELLS:
                raise BundleError(
                    f"{where}: tensor {message.name!r} would have {cells:,} cells, at most {MAX_TENSOR_CELLS:,} are allowed"
                )


def _check_operators(proto: Any, where: str) -> None:
    if len(proto.functions) > 0:
        raise BundleError(
            f"{where}: has model-local functions; inline them (onnx.inliner.inline_local_functions) and export again"
        )
    for node in (message for message in _messages(proto) if isinstance(message, onnx.NodeProto)):
        standard = node.domain in ("", "ai.onnx")
        if not standard and not (node.domain == "com.microsoft" and node.op_type in MICROSOFT_OPERATORS):
            raise BundleError(
                f"{where}: node {node.name!r} uses {node.domain}.{node.op_type}; only ai.onnx and onnxruntime's "
                "quantisation and fusion operators are allowed"
            )
        if standard and node.op_type in REFUSED_OPERATORS:
            raise BundleError(f"{where}: node {node.name!r}: {node.op_type} {REFUSED_OPERATORS[node.op_type]}")


def _check_interface(proto: Any, card: ModelCard, where: str) -> None:
    opsets = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if opsets != [card.opset]:
        raise BundleError(f"{where}: opset {opsets} in the graph, {card.opset} in the card; write the card from the export")
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = {value.name: value for value in proto.graph.input if value.name not in weights}
    outputs = {value.name: value for value in proto.graph.output}
    _check_names("input", inputs, {"image"}, where)
    _check_names("output", outputs, {"score", "map"} | ({"embedding"} if card.embedding_dim else set()), where)
    size = card.input
    uint8, float32 = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    _check_tensor(inputs["image"], uint8, (None, size.height, size.width, 3), where)
    _check_tensor(outputs["score"], float32, (None,), where)
    _check_tensor(outputs["map"], float32, (None, 0, 0), where)
    if card.embedding_dim:
        _check_tensor(outputs["embedding"], float32, (None, card.embedding_dim), where)


def _check_names(side: str, found: dict[str, Any], wanted: set[str], where: str) -> None:
    if set(found) != wanted:
        raise BundleError(
            f"{where}: {side}s are {sorted(found)}, the contract (docs/model-bundle.md) and card ask for {sorted(wanted)}"
        )


def _check_tensor(value: Any, element_type: int, shape: tuple[int | None, ...], where: str) -> None:
    """shape: None where the batch must be dynamic, 0 where any size will do."""
    tensor = value.type.tensor_type
    found = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    fits = len(found) == len(shape) and all(want in (0, have) for have, want in zip(found, shape, strict=False))
    if tensor.elem_type != element_type or not fits:
        have = onnx.TensorProto.DataType.Name(tensor.elem_type)
        want = ["N" if size is None else "any" if size == 0 else size for size in shape]
        raise BundleError(
            f"{where}: {value.name} is {have} {['N' if size is None else size for size in found]}, must be "
            f"{onnx.TensorProto.DataType.Name(element_type)} {want} with a dynamic N; export again with a dynamic batch"
        )

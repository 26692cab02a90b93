"""What a model's graph may contain."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from qc.domain.errors import BundleError
from qc.domain.model import InputSpec
from qc.inspection.graph import check_graph
from qc.inspection.tiny import tiny_card, tiny_model_bytes

MODEL = tiny_model_bytes()


def edited(edit: Callable[[Any], object]) -> bytes:
    proto = onnx.load_model_from_string(MODEL)
    edit(proto)
    return proto.SerializeToString()


def external(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"


def external_in_subgraph(proto: Any) -> None:
    tensor = helper.make_tensor("secret", onnx.TensorProto.FLOAT, [1], [1.0])
    external(tensor)
    constant = helper.make_node("Constant", [], ["inner"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, [1])])
    proto.graph.node.append(helper.make_node("If", ["flag"], ["never"], then_branch=branch, else_branch=branch))


def loop_in_subgraph(proto: Any) -> None:
    inner = helper.make_graph([helper.make_node("Loop", ["", ""], ["x"])], "branch", [], [])
    proto.graph.node.append(helper.make_node("If", ["flag"], ["never"], then_branch=inner, else_branch=inner))


def custom(proto: Any) -> None:
    proto.graph.node[0].domain = "evil.ops"
    proto.opset_import.append(helper.make_opsetid("evil.ops", 1))


def microsoft(proto: Any) -> None:
    proto.graph.node[0].domain, proto.graph.node[0].op_type = "com.microsoft", "CDist"


def giant(proto: Any) -> None:
    proto.graph.initializer.append(helper.make_tensor("size", onnx.TensorProto.INT64, [2], [1 << 15, 1 << 15]))
    proto.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["everything"]))


def local_function(proto: Any) -> None:
    node = helper.make_node("Identity", ["a"], ["b"])
    proto.functions.append(helper.make_function("mine", "f", ["a"], ["b"], [node], [helper.make_opsetid("", 17)]))


def dtype(side: str, number: int, kind: int) -> Callable[[Any], None]:
    def edit(proto: Any) -> None:
        getattr(proto.graph, side)[number].type.tensor_type.elem_type = kind

    return edit


def dimension(side: str, number: int, axis: int, size: int) -> Callable[[Any], None]:
    def edit(proto: Any) -> None:
        getattr(proto.graph, side)[number].type.tensor_type.shape.dim[axis].dim_value = size

    return edit


def rename(side: str, number: int) -> Callable[[Any], None]:
    def edit(proto: Any) -> None:
        getattr(proto.graph, side)[number].name = "other"

    return edit


def test_tiny_models_pass():
    check_graph(MODEL, tiny_card())
    check_graph(tiny_model_bytes(kind="contrast", embedding=True), tiny_card(embedding=True))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda proto: external(proto.graph.initializer[0]), "external data"),
        (external_in_subgraph, "'secret' points to external data"),
        (custom, r"evil\.ops\.Cast.*only ai\.onnx"),
        (microsoft, r"com\.microsoft\.CDist"),
        (local_function, "inline them"),
        (giant, r"'everything' would have 1,073,741,824 cells"),
        (loop_in_subgraph, "Loop could run for ever"),
        (lambda proto: proto.graph.node.append(helper.make_node("RandomUniform", [], ["r"], shape=[1])), "is random"),
        (dtype("input", 0, onnx.TensorProto.FLOAT), r"image is FLOAT.*must be UINT8"),
        (dtype("output", 0, onnx.TensorProto.DOUBLE), r"score is DOUBLE.*must be FLOAT"),
        (dtype("output", 1, onnx.TensorProto.FLOAT16), r"map is FLOAT16"),
        (dimension("input", 0, 0, 2), "dynamic batch"),
        (dimension("output", 0, 0, 1), "dynamic batch"),
        (dimension("input", 0, 1, 64), r"\['N', 64, 32, 3\], must be UINT8 \['N', 32, 32, 3\]"),
        (dimension("input", 0, 3, 1), "image is"),
        (lambda proto: proto.graph.output[1].type.tensor_type.shape.dim.pop(), "map is"),
        (rename("output", 0), r"outputs are \['map', 'other'\]"),
        (rename("input", 0), "inputs are"),
        (lambda proto: proto.graph.input.append(helper.make_tensor_value_info("extra", 1, [1])), "inputs are"),
        (lambda proto: proto.graph.output.pop(), "outputs are"),
        (lambda proto: proto.opset_import.pop(), "opset"),
        (lambda proto: proto.graph.node.pop(0), "checker refuses"),
    ],
)
def test_a_wrong_graph_is_refused(edit: Callable[[Any], object], message: str):
    with pytest.raises(BundleError, match=message) as error:
        check_graph(edited(edit), tiny_card())
    assert str(error.value).startswith("model tiny: ")


def test_the_card_and_the_graph_must_agree():
    for card, message in [
        (replace(tiny_card(), opset=18), r"opset \[17\] in the graph, 18 in the card"),
        (replace(tiny_card(), input=InputSpec(64, 32)), "image is"),
        (tiny_card(embedding=True), "outputs are"),
    ]:
        with pytest.raises(BundleError, match=message):
            check_graph(MODEL, card)
    with pytest.raises(BundleError, match="embedding is"):
        check_graph(tiny_model_bytes(embedding=True), replace(tiny_card(embedding=True), embedding_dim=4))


@given(st.integers(0, len(MODEL) - 1), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_flipped_byte_gives_a_verdict_never_a_crash(position: int, value: int):
    damaged = MODEL[:position] + bytes([value]) + MODEL[position + 1 :]
    with suppress(BundleError):
        check_graph(damaged, tiny_card())


@pytest.mark.parametrize("model", [b"", b"\x00", b"not onnx at all", MODEL[:50], MODEL[:-1]])
def test_what_is_not_a_whole_model_is_refused(model: bytes):
    with pytest.raises(BundleError):
        check_graph(model, tiny_card())

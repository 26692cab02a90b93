"""card.json is read strictly: every mistake names file, key and what would be right."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc.domain.errors import BundleError
from qc.domain.model import GoldenVector, ModelCard
from qc.inspection.card import card_to_json, check_card, load_card, parse_card
from qc.inspection.tiny import tiny_card

CARD = replace(
    tiny_card(),
    golden=(GoldenVector("noise", 3, 0.25, 0.125),),
    rates={"detection_rate": {"estimate": 0.95, "low": 0.9, "high": None, "n": 120}},
    data={"hash": "ab", "splits": [1, 2, {"x": True}]},
    variants=("mono", "poly"),
    parent="older",
)


def changed(**values: object) -> bytes:
    return json.dumps({**json.loads(card_to_json(CARD)), **values}).encode()


def test_a_card_survives_writing_and_reading(tmp_path: Path):
    (tmp_path / "card.json").write_text(card_to_json(CARD))
    loaded = load_card(tmp_path / "card.json")
    assert loaded == CARD
    assert isinstance(loaded.golden[0], GoldenVector)


def test_optional_keys_may_be_left_out():
    optional = ("variants", "golden_tolerance", "embedding_dim", "rates", "data", "training", "limits", "parent", "format")
    data = {key: value for key, value in json.loads(card_to_json(CARD)).items() if key not in optional}
    assert parse_card(json.dumps(data).encode(), "card.json") == replace(
        CARD, variants=(), rates={}, data={}, limits=(), parent=None
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reject_add": 1}, "unknown key reject_add; did you mean reject_at"),
        ({"input": {"height": 8, "width": 8, "interpolate": "area"}}, r"unknown key input\.interpolate.*input\.interpolation"),
        (
            {"golden": [{"kind": "noise", "seeds": 1, "score": 0, "map_mean": 0}]},
            r"unknown key golden\.0\.seeds.*golden\.0\.seed",
        ),
        ({"zzz": 1}, "unknown key zzz; allowed are model_id"),
        ({"reject_at": "0.5"}, "reject_at"),
        ({"reject_at": True}, "reject_at"),
        ({"opset": 17.5}, "opset"),
        ({"input": [1, 2]}, "input"),
        ({"input": {"height": 8}}, r"input\.width"),
        ({"review_at": 0.7, "reject_at": 0.6}, "review_at <= reject_at"),
        ({"reject_at": 1.5}, "reject_at <= 1"),
        ({"review_at": -0.1}, "0 <= review_at"),
        ({"model_id": "../../etc"}, "model_id"),
        ({"model_id": "a/b"}, "model_id"),
        ({"model_id": "a..b"}, "model_id"),
        ({"model_id": "a\n"}, "model_id"),
        ({"model_id": ""}, "model_id"),
        ({"model_id": "x" * 65}, "model_id"),
        ({"sha256": "F" * 64}, "sha256"),
        ({"sha256": "a" * 63}, "sha256"),
        ({"format": "qc.bundle/2"}, "format.*qc.bundle/1"),
        ({"input": {"height": 0, "width": 8}}, "at least 1"),
        ({"input": {"height": 8, "width": 5000}}, "at most 4096"),
        ({"input": {"height": 8, "width": 8, "interpolation": "cubic"}}, "cubic.*area, linear"),
        ({"golden": []}, "golden"),
        ({"golden": [{"kind": "photo", "seed": 1, "score": 0, "map_mean": 0}]}, "gradient, noise"),
        ({"golden": [{"kind": "noise", "seed": -1, "score": 0, "map_mean": 0}]}, "seed"),
        ({"golden": [{"kind": "noise", "seed": 1, "score": 0, "map_mean": 0}] * 65}, "at most 64"),
        ({"golden_tolerance": 0}, "golden_tolerance"),
        ({"golden_tolerance": 1}, "golden_tolerance"),
        ({"embedding_dim": -1}, "embedding_dim"),
    ],
)
def test_a_wrong_card_is_refused_by_name(change: dict[str, object], message: str):
    with pytest.raises(BundleError, match=message) as error:
        parse_card(changed(**change), "models/x/card.json")
    assert str(error.value).startswith("models/x/card.json: ")


@pytest.mark.parametrize("key", ["model_id", "sha256", "input", "golden", "review_at", "reject_at", "created_at", "opset"])
def test_a_missing_key_is_named(key: str):
    data = json.loads(card_to_json(CARD))
    del data[key]
    with pytest.raises(BundleError, match=key):
        parse_card(json.dumps(data).encode(), "card.json")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("key", ["review_at", "reject_at", "golden_tolerance"])
def test_a_threshold_that_is_not_a_number_is_refused(key: str, value: str):
    with pytest.raises(BundleError, match=r"card\.json"):
        parse_card(changed(**{key: "HERE"}).replace(b'"HERE"', value.encode()), "card.json")


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_golden_score_that_is_not_a_number_is_refused(value: str):
    golden = [{"kind": "noise", "seed": 1, "score": "HERE", "map_mean": 0}]
    with pytest.raises(BundleError, match=r"card\.json"):
        parse_card(changed(golden=golden).replace(b'"HERE"', value.encode()), "card.json")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"rates": ' * 100_000])
def test_what_is_not_a_json_object_is_refused(text: bytes):
    with pytest.raises(BundleError, match=r"^card\.json: "):
        parse_card(text, "card.json")


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_no_bytes_at_all_raise_anything_else(text: bytes):
    with pytest.raises(BundleError):
        parse_card(text, "card.json")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(ModelCard.__dataclass_fields__)),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists),
)
def test_no_value_of_any_key_raises_anything_else(key: str, value: object):
    try:
        card = parse_card(changed(**{key: value}), "card.json")
    except BundleError:
        return
    check_card(card, "card.json")


def test_an_absent_card_is_named(tmp_path: Path):
    with pytest.raises(BundleError, match=r"card\.json: cannot be read"):
        load_card(tmp_path / "card.json")

"""``card.json``: reading it strictly, writing it, and the rules that its values must obey."""

import difflib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model

from qc.domain.errors import BundleError
from qc.domain.model import GoldenVector, InputSpec, ModelCard
from qc.inspection.golden import KINDS
from qc.inspection.preprocess import INTERPOLATIONS

FORMAT = "qc.bundle/1"
MODEL_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,63}")
"""A model's id is a directory name, a URL segment and an MQTT payload: letters, digits, ``_``, ``-``, single dots."""

MAX_SIDE = 4096
MAX_GOLDEN_TOLERANCE = 0.05
"""Beyond this a golden vector proves nothing: thresholds sit closer to scores than that."""

_FREE_FORM = ("rates", "data", "training")


def _schema() -> type[BaseModel]:
    # pydantic cannot resolve the recursive Json alias of the domain, so free-form fields use pydantic's own JSON type.
    hints = get_type_hints(ModelCard)
    columns: dict[str, Any] = {}
    for item in fields(ModelCard):
        kind = dict[str, JsonValue] if item.name in _FREE_FORM else hints[item.name]
        default = item.default if item.default is not MISSING else {} if item.name in _FREE_FORM else ...
        columns[item.name] = (kind, default)
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
    return create_model("CardFile", __config__=config, **columns)


_CARD_FILE = _schema()


def card_to_json(card: ModelCard) -> str:
    return json.dumps(asdict(card), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load_card(path: Path) -> ModelCard:
    """Read and check one ``card.json`` without looking at the model. Raises BundleError naming file, key and remedy."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); copy the complete bundle again") from error
    return parse_card(text, str(path))


def parse_card(text: bytes, where: str) -> ModelCard:
    """As load_card, from bytes; ``where`` names them in messages."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not valid JSON ({error}); copy the complete bundle again") from error
    if not isinstance(data, dict):
        raise BundleError(f"{where}: must be a JSON object, see docs/model-bundle.md")
    _refuse_unknown_keys(data, where)
    try:
        # Validated as JSON, where strict mode still takes a list for a tuple.
        valid = _CARD_FILE.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{where}: {_first(error)}") from error
    card = ModelCard(**{item.name: getattr(valid, item.name) for item in fields(ModelCard)})
    check_card(card, where)
    return card


def check_card(card: ModelCard, where: str) -> None:
    """Raises BundleError for the first value that breaks a rule."""
    for broken, key, rule in _rules(card):
        if broken:
            raise BundleError(f"{where}: {key}: {rule}")


def _rules(card: ModelCard) -> list[tuple[bool, str, str]]:
    """(is broken, key, what would be right), one per rule."""
    size = card.input
    numbers = [card.review_at, card.reject_at, card.golden_tolerance, *(x for g in card.golden for x in (g.score, g.map_mean))]
    return [
        (card.format != FORMAT, "format", f"{card.format!r} is not supported; this version reads {FORMAT!r}"),
        (MODEL_ID.fullmatch(card.model_id) is None, "model_id", f"{card.model_id!r} must match {MODEL_ID.pattern}"),
        (re.fullmatch(r"[0-9a-f]{64}", card.sha256) is None, "sha256", "must be 64 lower-case hex digits"),
        (not min(size.height, size.width) >= 1, "input", "height and width must be at least 1"),
        (max(size.height, size.width) > MAX_SIDE, "input", f"height and width must be at most {MAX_SIDE}"),
        (
            size.interpolation not in INTERPOLATIONS,
            "input.interpolation",
            f"{size.interpolation!r} must be one of {', '.join(INTERPOLATIONS)}",
        ),
        (not all(map(math.isfinite, numbers)), "review_at, reject_at, golden", "must be finite numbers"),
        (not 0 <= card.review_at <= card.reject_at <= 1, "review_at, reject_at", "need 0 <= review_at <= reject_at <= 1"),
        (
            not 0 < card.golden_tolerance <= MAX_GOLDEN_TOLERANCE,
            "golden_tolerance",
            f"must be above 0 and at most {MAX_GOLDEN_TOLERANCE}",
        ),
        (not card.golden, "golden", "at least one golden vector is needed; export the model again"),
        (len(card.golden) > 64, "golden", "at most 64 golden vectors"),
        (
            any(g.kind not in KINDS or g.seed < 0 for g in card.golden),
            "golden",
            f"kind must be one of {', '.join(KINDS)}, seed at least 0",
        ),
        (card.embedding_dim < 0, "embedding_dim", "must be 0 (none) or the length of the embedding"),
    ]


def _refuse_unknown_keys(data: Mapping[str, Any], where: str) -> None:
    _refuse_unknown(data, ModelCard, where, "")
    _refuse_unknown(data.get("input"), InputSpec, where, "input.")
    golden = data.get("golden")
    for number, vector in enumerate(golden if isinstance(golden, list) else []):
        _refuse_unknown(vector, GoldenVector, where, f"golden.{number}.")


def _refuse_unknown(data: object, kind: type[Any], where: str, prefix: str) -> None:
    if not isinstance(data, dict):
        return
    allowed = [item.name for item in fields(kind)]
    for key in data:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"allowed are {', '.join(allowed)}"
            raise BundleError(f"{where}: unknown key {prefix}{key}; {hint}")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"

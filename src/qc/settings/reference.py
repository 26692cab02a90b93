"""The configuration reference, written from the settings types so that it cannot drift from them."""

import types
import typing
from collections.abc import Iterator, Sequence
from datetime import date
from enum import Enum
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from qc.settings.base import models_in
from qc.settings.gate import GateSettings
from qc.settings.goals import GoalsSettings
from qc.settings.line import LineSettings
from qc.settings.recipe import RecipeSettings

_INTRO = """# Configuration reference

Written from the settings types by `python tools/make_config_reference.py`; do not edit by hand.

An unknown or mistyped key is an error that names the file, the key and the nearest valid one. Relative paths count from the
folder of the settings file. Secrets never stand in a file of settings; they come from

| secret | environment | file | systemd credential |
|---|---|---|---|
| broker password | `QC_MQTT_PASSWORD` | `QC_MQTT_PASSWORD_FILE` | `mqtt_password` |
| password of the RTSP camera `<id>` | `QC_CAMERA_<ID>_PASSWORD` | `QC_CAMERA_<ID>_PASSWORD_FILE` | `camera_<id>_password` |
"""


def reference() -> str:
    """The whole page as Markdown."""
    parts = [_INTRO, "## The line: `line.toml`\n", *_tables(LineSettings, "")]
    parts += ["## A product variant: `recipes/<variant>.toml`\n", *_tables(RecipeSettings, "")]
    parts += ["## Goals, prices and audits: `goals.toml`\n", *_tables(GoalsSettings, "")]
    parts += ["## The promotion gate: `gate.toml`\n", *_tables(GateSettings, "")]
    return "\n".join(parts)


def _tables(model: type[BaseModel], path: str) -> Iterator[str]:
    title = f"### `[{path}]`\n\n" if path else ""
    rows = [_row(name, field) for name, field in model.model_fields.items() if not field.exclude]
    summary = (model.__doc__ or "").strip()
    yield f"{title}{summary}\n\n| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    for name, field in model.model_fields.items():
        inner_path = f"{path}.{name}" if path else name
        for inner in models_in(field.annotation):
            kind = inner.model_fields.get("kind")
            tag = f" kind = {typing.get_args(kind.annotation)[0]}" if kind else ""
            yield from _tables(inner, inner_path + tag)


def _row(name: str, field: FieldInfo) -> str:
    kind = _type_name(field.annotation, field.metadata)
    default = "**required**" if field.is_required() else f"`{_plain(field)}`"
    meaning = (field.description or "").replace("\n", " ").replace("|", "\\|")
    return f"| `{name}` | {kind} | {default} | {meaning} |"


def _plain(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=False)
    if isinstance(value, BaseModel):
        return "{...}"
    if isinstance(value, list):
        return "[...]" if value and isinstance(value[0], BaseModel) else str(value)
    if value is PydanticUndefined or value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def _type_name(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        return _type_name(inner, [*more, *metadata])
    bounds = _bounds(metadata)
    return _base_name(annotation) + (f" {bounds}" if bounds else "")


def _base_name(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " \\| ".join(f'`"{value}"`' for value in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_name(part) for part in inner if part is not type(None)))
    if origin in (list, dict):
        return f"list of {_type_name(inner[0])}" if origin is list else "table of text"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " \\| ".join(f'`"{item.value}"`' for item in annotation)
    names = {str: "text", int: "integer", float: "number", bool: "true / false", SecretStr: "secret", date: "date"}
    return names.get(annotation, "path")


def _bounds(metadata: Sequence[Any]) -> str:
    found = []
    for item in [part for entry in metadata for part in getattr(entry, "metadata", [entry])]:
        match item:
            case Ge(ge=value):
                found.append(f">= {value}")
            case Gt(gt=value):
                found.append(f"> {value}")
            case Le(le=value):
                found.append(f"<= {value}")
            case Lt(lt=value):
                found.append(f"< {value}")
            case MinLen(min_length=value) | MaxLen(max_length=value):
                found.append(f"at {'least' if isinstance(item, MinLen) else 'most'} {value}")
            case _:
                if pattern := getattr(item, "pattern", None):
                    found.append(f"matching `{pattern}`")
    return ", ".join(found)

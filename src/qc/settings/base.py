"""What all settings types share."""

import typing
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A table of a settings file: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
"""Lower-case letters, digits, ``_`` and ``-``: safe in topics, file names and URLs."""

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings types inside a field's annotation: itself, members of unions, items of lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for inner in typing.get_args(annotation):
            yield from models_in(inner)

"""What every request and answer of the HTTP API is built from; the OpenAPI document and the checks both come from these types."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Id = Annotated[str, Field(min_length=1, max_length=100)]
MAX_SEQ = 2**62


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Query(BaseModel):
    """Query parameters arrive as text and are converted; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Problem(Answer):
    """error: a stable code; message: a sentence for people."""

    error: str
    message: str


class Done(Answer):
    """result: what the line answered, e.g. the new variant."""

    done: bool = True
    result: dict[str, bool | int | float | str | None] = {}

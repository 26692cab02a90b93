"""Commands from outside: what each one looks like, and how a raw message becomes a ``Command`` or a refusal."""

import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from qc.domain.errors import CommandError
from qc.domain.ports import Command
from qc.domain.record import Json
from qc.domain.truth import Truth
from qc.publish.payloads import Payload, to_json

Text = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class CommandPayload(Payload):
    """Common to all commands; every field here is optional, so that ``{}`` or nothing at all is a valid ``pause``."""

    schema_: Literal["qc.command/1"] = Field(default="qc.command/1", alias="schema")
    command_id: Annotated[str, Field(max_length=200)] = Field(
        default="", description="repeats with the same id (or CorrelationData) are executed once"
    )


class RecipeCommand(CommandPayload):
    """Changeover to another product variant, between two parts."""

    variant: Name
    operator: Text | None = None


class PauseCommand(CommandPayload):
    """A planned stop: cameras make no parts; triggers that still come are refused with code ``paused``."""

    reason: Text = ""


class ResumeCommand(CommandPayload):
    """Go on after a pause or an acknowledged halt."""


class TriggerCommand(CommandPayload):
    """Take one picture now. camera may be left out when the edge has one."""

    camera: Name | None = None
    part_id: Name | None = None


class AckAlarmCommand(CommandPayload):
    alarm_id: Name
    operator: Name
    note: Text = ""


class SnoozeAlarmCommand(CommandPayload):
    alarm_id: Name
    operator: Name
    minutes: float = Field(gt=0, le=7 * 24 * 60)
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class ReplayCommand(CommandPayload):
    """Send events again that were already acknowledged, from a sequence number or from a time on."""

    from_seq: int | None = Field(default=None, ge=1)
    since: AwareDatetime | None = None

    @model_validator(mode="after")
    def one_start(self) -> "ReplayCommand":
        if (self.from_seq is None) == (self.since is None):
            raise ValueError("give either from_seq or since")
        return self


class SnapshotCommand(CommandPayload):
    """Keep the camera's current picture and answer with its image_ref; no verdict."""

    camera: Name | None = None


class LabelCommand(CommandPayload):
    """A person's answer to a label request."""

    ticket_id: Name
    truth: Truth
    labeller: Name
    defect_type: Annotated[str, Field(max_length=200)] = ""
    seconds_spent: float | None = Field(default=None, ge=0)
    review_round: int | None = Field(default=None, ge=1)
    corrects: Name | None = None


class ChallengeCommand(CommandPayload):
    """The next part (or the part with this part_id) is the registered known-defective part ``challenge_id``."""

    challenge_id: Name
    part_id: Name | None = None
    operator: Text = ""


class RelearnCommand(CommandPayload):
    """What a variant's parts look like from now on (to one camera, or to all) is normal: the monitor collects a new reference of its inputs."""

    variant: Name
    camera: Name | None = None
    operator: Name
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class ModelCommand(CommandPayload):
    """Steps of a model's release: shadow (without model: end it), canary, promote, rollback (ends the canary first).

    variant: default the one that runs. promote: without a passed gate report only with override, operator and reason.
    """

    action: Literal["shadow", "canary", "promote", "rollback"]
    model: Name | None = None
    variant: Name | None = None
    share: float | None = Field(default=None, gt=0, le=1)
    minutes: float | None = Field(default=None, gt=0, le=7 * 24 * 60)
    operator: Text = ""
    reason: Text = ""
    override: bool = False


COMMANDS: Final[Mapping[str, type[CommandPayload]]] = {
    "recipe": RecipeCommand,
    "pause": PauseCommand,
    "resume": ResumeCommand,
    "trigger": TriggerCommand,
    "ack-alarm": AckAlarmCommand,
    "snooze-alarm": SnoozeAlarmCommand,
    "replay": ReplayCommand,
    "snapshot": SnapshotCommand,
    "label": LabelCommand,
    "challenge": ChallengeCommand,
    "relearn": RelearnCommand,
    "model": ModelCommand,
}

ERROR_CODES: Final[Mapping[str, str]] = {
    "unknown_command": "no command of this name; the message lists the names",
    "bad_json": "the payload is not a UTF-8 JSON object",
    "too_large": "the payload is larger than the edge accepts",
    "invalid_argument": "a field is missing, unknown or has a wrong value; the message names it",
    "retained": "the message was retained; commands never are",
    "expired": "the message expiry passed before the command could run",
    "busy": "too many commands wait; try again",
    "internal": "the edge failed at it; its log has the details",
}
"""Codes from this room. A handler adds its own (``unknown_variant``, ``not_found`` ...), which are passed through."""


class ErrorBody(Payload):
    code: str
    message: str


class ResponsePayload(Payload):
    """Answer to a command on its ResponseTopic, with its CorrelationData."""

    schema_: Literal["qc.response/1"] = Field(alias="schema")
    command: str
    command_id: str
    ts: AwareDatetime
    ok: bool
    result: dict[str, object] | None = None
    error: ErrorBody | None = None


def parse_command(name: str, payload: bytes, max_bytes: int) -> tuple[Command, str]:
    """(command, command_id) of a raw message. Raises CommandError with a code of ERROR_CODES."""
    model = COMMANDS.get(name)
    if model is None:
        raise CommandError("unknown_command", f"no command {name[:80]!r}; there are {', '.join(sorted(COMMANDS))}")
    if len(payload) > max_bytes:
        raise CommandError("too_large", f"{len(payload)} bytes; at most {max_bytes} are accepted")
    try:
        raw = json.loads(payload.decode("utf-8")) if payload.strip() else {}
    except (ValueError, RecursionError) as error:
        raise CommandError("bad_json", f"the payload is not UTF-8 JSON: {str(error)[:200]}") from None
    if not isinstance(raw, dict):
        raise CommandError("bad_json", f"the payload must be a JSON object, not {type(raw).__name__}")
    try:
        body = model.model_validate_json(payload if payload.strip() else b"{}")
    except ValidationError as error:
        raise CommandError("invalid_argument", explain(error, model)) from None
    fields = body.model_dump(mode="json", exclude={"schema_", "command_id"}, exclude_none=True)
    return Command(name=name, body=fields, who="mqtt", via="mqtt"), body.command_id


def explain(error: ValidationError, model: type[CommandPayload]) -> str:
    """The first three faults of a command, as a person reads them, and the fields that exist."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False)[:3]:
        where = ".".join(str(step) for step in fault["loc"])[:80]
        faults.append(f"{where}: {fault['msg']}" if where else fault["msg"])
    known = ", ".join("schema" if field == "schema_" else field for field in model.model_fields)
    return f"{'; '.join(faults)} (fields: {known})"


def response(
    command: str,
    command_id: str,
    ts: str,
    *,
    result: Mapping[str, Json] | None = None,
    error: CommandError | None = None,
) -> bytes:
    """The JSON of a ``ResponsePayload``; ``error`` decides whether it is a refusal."""
    body: dict[str, Json] = {
        "schema": "qc.response/1",
        "command": command[:80],
        "command_id": command_id,
        "ts": ts,
        "ok": error is None,
        "result": None if error else dict(result or {}),
        "error": {"code": error.code, "message": str(error)} if error else None,
    }
    return to_json(body)

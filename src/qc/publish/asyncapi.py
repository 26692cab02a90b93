"""The AsyncAPI 3 document of the edge, generated from the typed payloads, so that it cannot go out of date."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from qc.publish.commands import COMMANDS, ResponsePayload
from qc.publish.payloads import EVENT_PAYLOADS, STATE_PAYLOADS, Payload, StatusPayload, schema_of

Document = dict[str, Any]  # the shape is AsyncAPI's, not ours

ADDRESS = "qc/v1/{site}/{area}/{line}/{edge}"
LEVELS = {
    "site": "the plant",
    "area": "the hall or department",
    "line": "the production line",
    "edge": "the inspection station",
}


def document(version: str) -> Document:
    """The whole document; ``version`` is that of the interface, the major being the ``v1`` of the topics."""
    channels: Document = {}
    operations: Document = {}
    messages: Document = {}

    def add(key: str, leaf: str, model: type[Payload], *, receive: bool = False, retained: bool = False) -> None:
        messages[key] = _message(key, model, retained=retained)
        channels[key] = {
            "address": f"{ADDRESS}/{leaf}",
            "parameters": {name: {"description": text} for name, text in LEVELS.items()},
            "messages": {key: {"$ref": f"#/components/messages/{key}"}},
        }
        operations[f"{'receive' if receive else 'send'}-{key}"] = {
            "action": "receive" if receive else "send",
            "channel": {"$ref": f"#/channels/{key}"},
            "summary": _first_line(model),
            "bindings": {"mqtt": {"qos": 1, "retain": retained, "bindingVersion": "0.2.0"}},
        }

    add("status", "status", StatusPayload, retained=True)
    for name, state in STATE_PAYLOADS.items():
        add(f"state-{name}", f"state/{name}", state, retained=True)
    for kind, event in EVENT_PAYLOADS.items():
        add(f"evt-{kind.value}", f"evt/{kind.value}", event)
    messages["response"] = _message("response", ResponsePayload, retained=False)
    channels["response"] = {"address": None, "messages": {"response": {"$ref": "#/components/messages/response"}}}
    for name, command in COMMANDS.items():
        add(f"cmd-{name}", f"cmd/{name}", command, receive=True)
        operations[f"receive-cmd-{name}"]["reply"] = {
            "address": {"location": "$message.header#/responseTopic", "description": "MQTT v5 ResponseTopic of the command"},
            "channel": {"$ref": "#/channels/response"},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "qc edge",
            "version": version,
            "description": "What an inspection edge says over MQTT v5 and which commands it takes. Within v1 fields are only "
            "added: ignore fields that you do not know. Drop repeated events by event_id.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "localhost:1883", "protocol": "mqtt", "protocolVersion": "5.0"}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": _schemas()},
    }


def _message(key: str, model: type[Payload], *, retained: bool) -> Document:
    headers: Document = {"schema": {"type": "string", "const": schema_of(model), "description": "MQTT v5 user property"}}
    if key.startswith("cmd-"):
        headers["responseTopic"] = {"type": "string", "description": "MQTT v5 ResponseTopic"}
    message: Document = {
        "name": key,
        "title": _first_line(model),
        "contentType": "application/json",
        "headers": {"type": "object", "properties": headers},
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }
    if key.startswith("cmd-") or key == "response":
        message["correlationId"] = {"location": "$message.header#/correlationData"}
        headers["correlationData"] = {"type": "string", "description": "MQTT v5 CorrelationData"}
    if retained:
        message["tags"] = [{"name": "retained"}]
    return message


def _first_line(model: type[Payload]) -> str:
    own = model.__dict__.get("__doc__") or model.__name__
    return str(own).strip().splitlines()[0]


def _schemas() -> Document:
    incoming = list(COMMANDS.values())
    outgoing: list[type[Payload]] = [StatusPayload, *STATE_PAYLOADS.values(), *EVENT_PAYLOADS.values(), ResponsePayload]
    _, merged = models_json_schema(
        [(model, "validation") for model in [*outgoing, *incoming]], ref_template="#/components/schemas/{model}"
    )
    names = {model.__name__ for model in incoming}
    return {name: schema if name in names else _open(schema) for name, schema in sorted(merged["$defs"].items())}


def _open(schema: Any) -> Any:
    """Without ``additionalProperties: false``: a consumer must accept fields that a later version adds."""
    if isinstance(schema, Mapping):
        return {key: _open(value) for key, value in schema.items() if not (key == "additionalProperties" and value is False)}
    if isinstance(schema, list):
        return [_open(item) for item in schema]
    return schema

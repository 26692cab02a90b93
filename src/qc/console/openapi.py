"""The OpenAPI 3.1 document, generated from the endpoint table and its pydantic models."""

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, TypeAlias

from pydantic.json_schema import models_json_schema

from qc.console.endpoint import Endpoint
from qc.console.schema.base import Problem

Refs: TypeAlias = Mapping[Any, Any]
"""Model -> reference to its schema."""

_REF = "#/components/schemas/{model}"
_REASONS = {
    401: "not logged in",
    403: "the role does not allow it, or the CSRF token is missing",
    404: "there is no such thing",
    409: "refused: the state of the line does not allow it",
    413: "too large",
    415: "not application/json",
    422: "a parameter or field is missing, unknown or has a wrong value",
    429: "too many attempts; wait for Retry-After seconds",
    503: "busy, or the store cannot be used now",
}


def openapi_document(endpoints: Iterable[Endpoint], title: str = "qc edge") -> dict[str, Any]:
    table = list(endpoints)
    answers = {e.answer for e in table if not isinstance(e.answer, str)} | {Problem}
    bodies = {e.body for e in table if e.body is not None}
    named, definitions = models_json_schema(
        [*((m, "serialization") for m in sorted(answers, key=str)), *((m, "validation") for m in sorted(bodies, key=str))],
        ref_template=_REF,
    )
    refs: Refs = {model: schema for (model, _), schema in named.items()}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in table:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version("qc-edge"),
            "description": "The HTTP API of one edge; its own pages use nothing else. Actions need a session (cookie qc_session) "
            "and its CSRF token in the header X-CSRF-Token; every action lands in the audit trail.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": "qc_session"}},
        },
    }


def _operation(endpoint: Endpoint, refs: Refs) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}{re.sub(r'[^a-z0-9]+', '_', endpoint.path.removeprefix('/api'))}".rstrip("_"),
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": _responses(endpoint, refs),
    }
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": refs[endpoint.body]}}}
    if endpoint.role is not None:
        operation["security"] = [{"session": []}]
        operation["x-role"] = endpoint.role.value
    return operation


def _responses(endpoint: Endpoint, refs: Refs) -> dict[str, Any]:
    if isinstance(endpoint.answer, str):
        content: dict[str, Any] = {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in endpoint.answer.split(", ")
        }
    else:
        content = {"application/json": {"schema": refs[endpoint.answer]}}
    usual = [503, *endpoint.errors]
    if endpoint.role is not None:
        usual += [401, 403]
    if endpoint.query is not None or endpoint.body is not None:
        usual.append(422)
    if endpoint.body is not None:
        usual += [413, 415]
    problems = {
        str(code): {"description": _REASONS[code], "content": {"application/json": {"schema": refs[Problem]}}}
        for code in sorted(set(usual))
    }
    return {"200": {"description": "done", "content": content}, **problems}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", endpoint.path)
    return [{"name": n, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for n in names]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = endpoint.query.model_json_schema(ref_template=_REF)
    definitions = schema.get("$defs", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": _inlined(field, definitions)}
        for name, field in schema["properties"].items()
    ]


def _inlined(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out rather than null, and its enumeration stands in place."""
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    chosen = dict(options[0])
    if "$ref" in chosen:
        chosen = dict(definitions[chosen["$ref"].rsplit("/", 1)[1]])
    return {key: value for key, value in chosen.items() if key not in ("title", "default", "description")} | (
        {"description": field["description"]} if "description" in field else {}
    )

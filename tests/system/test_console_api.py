"""The HTTP API, fuzzed from its own OpenAPI document against a running line, and against hostile clients."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.system.console_stage import PASSWORD, Stage

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("console-api")]
EXAMPLES = 15
"""Per operation; with about thirty operations the whole takes half a minute."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("fuzz")) as started:
        started.push(0.0, 0.9, 0.0)
        yield started


def login(stage: Stage, name: str) -> dict[str, str]:
    """Headers of a session of its own, past the rate limit that the fuzzing runs into."""
    opened = stage.accounts.log_in(name, PASSWORD)
    assert opened is not None
    return {"Cookie": f"qc_session={opened.token}", "X-CSRF-Token": opened.csrf}


def test_the_document_is_true_and_nothing_fails_under_fuzzing(stage: Stage) -> None:
    document = httpx.get(f"{stage.url}/api/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(document)
    checks: list[CheckFunction] = [status_code_conformance, content_type_conformance, response_schema_conformance]
    worst: dict[str, int] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        if (operation.method, operation.path) == ("delete", "/api/v1/session"):
            continue  # would end the session of the rest
        headers = login(stage, "anna")

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def fuzz(case: schemathesis.Case) -> None:
            response = case.call(base_url=stage.url, headers=headers, timeout=30)  # noqa: B023  # called in this round
            name = f"{case.method} {case.operation.path}"
            worst[name] = max(worst.get(name, 0), response.status_code)
            assert response.status_code < 500, f"{name}: {response.status_code} {response.text[:300]}"
            case.validate_response(response, checks=checks)

        fuzz()
    assert len(worst) == sum(len(methods) for methods in document["paths"].values()) - 1
    assert stage.edge.line.healthy()


def test_hostile_requests_are_refused_without_a_server_error(stage: Stage) -> None:
    headers = login(stage, "anna")
    get = [
        "/api/v1/images/..%2f..%2fqc.sqlite3",
        "/static/..%2f..%2f..%2fcli.py",
        "/static/../../../cli.py",
        "/api/v1/parts/%00",
        "/api/v1/parts?limit=1e9",
        "/api/v1/parts?since=2026-01-01T00:00:00",
        "/api/v1/parts?nonsense=1",
        "/api/v1/" + "a" * 8000,
    ]
    for path in get:
        answer = httpx.get(stage.url + path, headers=headers, timeout=30)
        assert 400 <= answer.status_code < 500, (path, answer.status_code)
    bodies: list[bytes] = [
        b"",
        b"{",
        b"[1]",
        b'"\\ud800"',
        b'{"variant": "\\ud800"}',
        b"[" * 60_000,
        b'{"variant": NaN}',
        b"\xff\xfe",
    ]
    for body in bodies:
        answer = httpx.post(
            f"{stage.url}/api/v1/line/recipe", content=body, headers={**headers, "Content-Type": "application/json"}, timeout=30
        )
        assert 400 <= answer.status_code < 500, (body[:40], answer.status_code)
    big = httpx.post(
        f"{stage.url}/api/v1/line/recipe",
        content=b"x" * 200_000,
        headers={**headers, "Content-Type": "application/json"},
        timeout=30,
    )
    assert big.status_code == 413


def test_a_client_that_never_reads_costs_the_line_and_the_others_nothing(stage: Stage) -> None:
    host, port = stage.server.host, stage.server.port
    hostile = socket.create_connection((host, port))
    hostile.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    hostile.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    stage.push(*[0.0] * 40)
    with httpx.stream("GET", f"{stage.url}/api/v1/live", timeout=30) as live:
        (name,) = stage.push(0.9)
        for line in live.iter_lines():
            if line.startswith("data: [") and name in line:
                newest = json.loads(line.removeprefix("data: "))[-1]
                break
    assert newest["verdict"] == "NG"
    hostile.close()


def test_the_live_stream_sends_the_state_every_second(stage: Stage) -> None:
    with httpx.stream("GET", f"{stage.url}/api/v1/live", timeout=30) as live:
        assert live.headers["content-type"].startswith("text/event-stream")
        states = []
        began_s = time.monotonic()
        for line in live.iter_lines():
            if line.startswith("data: {"):
                states.append(json.loads(line.removeprefix("data: ")))
                if len(states) == 3:
                    break
    assert time.monotonic() - began_s < 20
    assert states[-1]["state"] == "running"
    assert states[-1]["viewers"] >= 1

"""The API's rules on a real edge, without a browser: rights, CSRF, host, cookies, pictures, export, OpenAPI."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import cv2
import httpx
import jsonschema
import numpy as np
import pytest
from tests.system.console_stage import PASSWORD, Stage

from qc.console.app import console_app
from qc.console.export import COLUMNS
from qc.console.server import HttpServer
from qc.domain.clock import SystemClock
from qc.label.draw import training_ticket
from qc.training.manifest import COLUMNS as MANIFEST_COLUMNS
from qc.training.manifest import OPTIONAL_COLUMNS


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("api")) as started:
        started.push(0.0, 0.9)
        yield started


@pytest.fixture
def visitor(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, timeout=30) as client:
        yield client


@pytest.fixture
def client(stage: Stage, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Logged in as the user that the test's parameter names; otto by default."""
    with log_in(stage, getattr(request, "param", "otto")) as opened:
        yield opened


def log_in(stage: Stage, name: str) -> httpx.Client:
    login = stage.accounts.log_in(name, PASSWORD)
    assert login is not None
    return httpx.Client(
        base_url=stage.url, timeout=30, headers={"X-CSRF-Token": login.csrf, "Cookie": f"qc_session={login.token}"}
    )


def test_a_visitor_on_loopback_reads_but_does_not_act(visitor: httpx.Client) -> None:
    assert visitor.get("/api/v1/status").json()["state"] == "running"
    for path, body in (("line/pause", {}), ("labels/next", {}), ("alarms/x/ack", {})):
        refused = visitor.post(f"/api/v1/{path}", json=body)
        assert (refused.status_code, refused.json()["error"]) == (401, "not_logged_in")
    assert visitor.get("/api/v1/users").status_code == 403
    assert visitor.get("/api/v1/export").status_code == 403


@pytest.mark.parametrize(
    ("client", "path", "body", "allowed"),
    [
        ("vera", "line/pause", {}, False),
        ("vera", "labels/next", {}, False),
        ("otto", "labels/next", {}, True),
        ("otto", "line/replay", {"from_seq": 1}, False),
        ("otto", "alarms/x/relearn", {"reason": "new lamps"}, False),
        ("emil", "line/replay", {"from_seq": 1}, True),
        ("emil", "users", {"name": "zoe", "role": "viewer", "password": PASSWORD}, False),
    ],
    indirect=["client"],
)
def test_roles(client: httpx.Client, path: str, body: dict[str, object], allowed: bool) -> None:
    answer = client.post(f"/api/v1/{path}", json=body)
    assert (answer.status_code == 200) is allowed, answer.text
    assert allowed or answer.json()["error"] == "forbidden"


def test_an_action_needs_the_csrf_token(client: httpx.Client) -> None:
    refused = client.post("/api/v1/line/pause", json={}, headers={"X-CSRF-Token": "guess"})
    assert (refused.status_code, refused.json()["error"]) == (403, "csrf")
    assert client.get("/api/v1/status").json()["state"] == "running"


def test_a_form_of_another_site_cannot_act(client: httpx.Client) -> None:
    refused = client.post("/api/v1/line/pause", content=b"{}", headers={"Content-Type": "text/plain"})
    assert refused.status_code == 415


def test_the_login_cookie_is_out_of_reach_of_scripts_and_other_sites(stage: Stage, visitor: httpx.Client) -> None:
    answer = visitor.post("/api/v1/session", json={"name": "anna", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/", "expires="))
    assert answer.json()["role"] == "admin"
    foreign = visitor.post(
        "/api/v1/session", json={"name": "anna", "password": PASSWORD}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert foreign.status_code == 403
    assert ("anna", "login", "done") in {(e.who, e.action, e.outcome) for e in stage.edge.store.audit_trail(limit=50)}


def test_guessing_is_slowed_down(visitor: httpx.Client) -> None:
    answers = [visitor.post("/api/v1/session", json={"name": "emil", "password": "wrong wrong"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_another_host_name_is_refused_on_loopback(visitor: httpx.Client) -> None:
    for host, status in (("evil.example", 403), ("localhost:8080", 200), ("[::1]:80", 200)):
        assert visitor.get("/api/v1/status", headers={"Host": host}).status_code == status


def test_every_answer_carries_the_policy(visitor: httpx.Client) -> None:
    for path in ("/", "/edges", "/static/app.js", "/api/v1/status", "/nowhere", "/healthz"):
        answer = visitor.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_name_no_other_host_and_no_inline_script() -> None:
    static = Path(__file__).parents[3] / "src" / "qc" / "console" / "static"
    for page in static.glob("*.html"):
        text = page.read_text("utf-8")
        assert "http" not in text
        assert "<script>" not in text
    for script in [*static.glob("*.js"), *static.glob("pages/*.js")]:
        assert "https://" not in script.read_text("utf-8").replace("http://www.w3.org", "")


def test_pictures_are_jpegs_of_a_useful_size(stage: Stage, visitor: httpx.Client) -> None:
    event = stage.edge.store.find(limit=1)[0].event_id
    screen = visitor.get(f"/api/v1/images/{event}")
    assert screen.headers["content-type"] == "image/jpeg"
    assert "immutable" in screen.headers["cache-control"]
    thumb = visitor.get(f"/api/v1/images/{event}?size=thumb")
    pixels = cv2.imdecode(np.frombuffer(thumb.content, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert max(pixels.shape) == 200
    layer = cv2.imdecode(
        np.frombuffer(visitor.get(f"/api/v1/images/{event}?kind=heatmap").content, np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert layer is not None
    assert layer.shape[2] == 4
    assert layer[0, 0, 3] == 0  # outside the region of interest nothing is shown
    assert layer[..., 3].max() > 100
    assert visitor.get("/api/v1/images/unknown").status_code == 404


def test_tickets_are_blind(client: httpx.Client) -> None:
    (ticket,) = client.post("/api/v1/labels/next", json={"count": 1}).json()["tickets"]
    assert set(ticket) == {"ticket_id", "part_id", "variant", "camera", "window", "review_round", "image", "expires_at"}
    assert client.get(ticket["image"]).headers["content-type"] == "image/jpeg"


def test_two_labellers_never_share_a_ticket(stage: Stage) -> None:
    stage.push(*[0.0] * 6)
    with log_in(stage, "otto") as otto, log_in(stage, "olga") as olga:
        mine, hers = (
            {one["ticket_id"] for one in each.post("/api/v1/labels/next", json={"count": 2}).json()["tickets"]}
            for each in (otto, olga)
        )
        assert mine
        assert hers
        assert not mine & hers
        refused = olga.post("/api/v1/labels", json={"ticket_id": mine.copy().pop(), "truth": "good"})
        assert refused.status_code in (200, 409)  # a lease orders the queue; the answer itself is checked by the intake
        freed = mine.pop()
        otto.delete(f"/api/v1/labels/tickets/{freed}/lease")


def test_a_selection_is_exported_as_a_data_set(stage: Stage) -> None:
    with log_in(stage, "otto") as otto, log_in(stage, "emil") as emil:
        (part_id,) = stage.push(0.9)
        event = stage.edge.store.by_part(part_id)[0].event_id
        ticket = next(t for t in stage.edge.truth.tickets_of_part(part_id))
        body = {"ticket_id": ticket.ticket_id, "truth": "defect", "defect_type": "dent", "boxes": [[0.25, 0.5, 0.1, 0.2]]}
        assert otto.post("/api/v1/labels", json=body).status_code == 200
        answer = emil.get("/api/v1/export", params={"label": "defect", "part": part_id})
        for _ in range(100):  # the archive writes off the hot path
            if answer.status_code == 200:
                break
            answer = emil.get("/api/v1/export", params={"label": "defect", "part": part_id})
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        (row,) = csv.DictReader(io.StringIO(archive.read("manifest.csv").decode()))
        assert (row["label"], row["defect"], row["group"], row["boxes"]) == ("defect", "dent", part_id, "120 240 48 96")
        assert row["purpose"] == "estimate"
        pixels = cv2.imdecode(np.frombuffer(archive.read(row["image"]), np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        assert pixels.shape == (480, 480, 3)
        assert event in row["image"]
        nothing = emil.get("/api/v1/export", params={"part": "no such part"})
        assert (nothing.status_code, nothing.json()["error"]) == (409, "nothing_to_export")


def test_a_label_says_what_it_was_asked_for(stage: Stage) -> None:
    with log_in(stage, "otto") as otto:
        (part_id,) = stage.push(0.2)
        record = stage.edge.store.by_part(part_id)[0]
        picked = training_ticket(record, "looks new", SystemClock().now(), timedelta(hours=1))
        stage.edge.truth.add(tickets=[picked])
        assert otto.post("/api/v1/labels", json={"ticket_id": picked.ticket_id, "truth": "good"}).status_code == 200
        detail = otto.get(f"/api/v1/parts/{record.event_id}").json()
        assert [label["purpose"] for label in detail["labels"]] == ["training"]


def test_the_exports_columns_are_those_of_the_training() -> None:
    assert set(COLUMNS) == {*MANIFEST_COLUMNS, *OPTIONAL_COLUMNS}


def test_search_pages_through_everything_once(stage: Stage, visitor: httpx.Client) -> None:
    stage.push(*[0.0] * 5)
    seen: list[int] = []
    query: dict[str, int] = {"limit": 3}
    while True:
        page = visitor.get("/api/v1/parts", params=query).json()
        seen += [part["seq"] for part in page["parts"]]
        if not page["more"]:
            break
        query["before_seq"] = seen[-1]
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == stage.edge.line.status().triggers
    rejected = visitor.get("/api/v1/parts", params={"verdict": "NG", "min_score": 0.5}).json()["parts"]
    assert rejected
    assert all(part["verdict"] == "NG" and part["score"] >= 0.5 for part in rejected)


def test_the_report_is_shown_once_it_was_written(stage: Stage, visitor: httpx.Client) -> None:
    assert visitor.get("/api/v1/report").status_code == 404
    assert visitor.get("/api/v1/quality").json()["report"] == ""
    path = stage.edge.settings.storage.directory / "report.html"
    path.write_text("<h1>Rates</h1>")
    answer = visitor.get("/api/v1/report")
    assert answer.text == "<h1>Rates</h1>"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert visitor.get("/api/v1/quality", params={"by": "shift"}).json()["report"] == "/api/v1/report"
    path.unlink()


def test_the_openapi_document_is_sound_and_says_who_may(visitor: httpx.Client) -> None:
    document = visitor.get("/api/openapi.json").json()
    jsonschema.Draft202012Validator.check_schema({"$defs": document["components"]["schemas"]})
    roles = {
        (method, path): operation.get("x-role")
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert roles["post", "/api/v1/line/recipe"] == "operator"
    assert roles["post", "/api/v1/line/model"] == "engineer"
    assert roles["get", "/api/v1/users"] == "admin"
    open_to_all = {key for key, role in roles.items() if role is None}
    assert open_to_all == {("get", "/api/v1/session"), ("post", "/api/v1/session")}
    assert len({o["operationId"] for m in document["paths"].values() for o in m.values()}) == len(roles)


def test_an_exposed_console_shows_nothing_before_the_login(stage: Stage) -> None:
    settings = stage.edge.settings.http.model_copy(update={"host": "192.0.2.1", "behind_proxy": True})
    server = HttpServer(console_app(stage.edge, settings, stage.web), "127.0.0.1", 0)
    server.start()
    try:
        with httpx.Client(base_url=server.url, timeout=30, headers={"Host": "plant.example"}) as outside:
            assert outside.get("/api/v1/session").json()["role"] is None
            for path in ("status", "parts", "alarms", "line", "quality", "live", "labels/progress"):
                assert outside.get(f"/api/v1/{path}").status_code == 401
            login = outside.post("/api/v1/session", json={"name": "vera", "password": PASSWORD})
            cookie = login.headers["set-cookie"]
            assert "secure" in cookie.lower()
            assert outside.get("/api/v1/status", headers={"Cookie": cookie.split(";")[0]}).status_code == 200
    finally:
        server.close()

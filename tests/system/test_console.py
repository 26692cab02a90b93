"""The console in a real browser against a running line."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.system.broker import Mosquitto, needs_mosquitto
from tests.system.browser import PATIENCE_MS, Tab, chromium, needs_chromium
from tests.system.console_stage import PASSWORD, Stage
from tests.system.edge_process import EdgeProcess, write_images, write_settings

from qc.domain.alarm import Action, Cause

pytestmark = [pytest.mark.system, needs_chromium, pytest.mark.xdist_group("console")]
AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
PAGES = ("live", "label", "quality", "alarms", "line", "browse", "account")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("console")) as started:
        started.push(0.0, 0.9)
        yield started


@pytest.fixture
def tab(browser: Browser, stage: Stage) -> Iterator[Tab]:
    opened = Tab(browser, stage.url)
    yield opened
    opened.close()
    assert opened.foreign_requests() == []
    assert opened.complaints == [], "the browser complained (content security policy, script error)"


def test_the_live_view_follows_the_line(tab: Tab, stage: Stage) -> None:
    page = tab.open()
    page.locator(".big").wait_for()
    stage.push(0.0)
    expect(page.locator(".big")).to_have_attribute("data-verdict", "OK")
    before = stage.edge.line.status().triggers
    expect(page.locator("[data-count=triggers]")).to_have_text(str(before))
    (name,) = stage.push(0.9)
    expect(page.locator(".big")).to_have_attribute("data-part", name)
    expect(page.locator(".big")).to_have_attribute("data-verdict", "NG")
    expect(page.locator(".big .word")).to_have_text("NG")
    expect(page.locator("[data-count=triggers]")).to_have_text(str(before + 1))
    expect(page.locator(".stage-picture img").first).to_be_visible()
    expect(page.locator(".tile").last).to_have_attribute("title", name)
    page.keyboard.press("h")  # the heat map goes and comes
    expect(page.get_by_role("button", name="Heat map")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("h")
    expect(page.locator(".stage-picture img.layer")).to_be_visible()


def test_a_visitor_may_look_but_not_act(tab: Tab) -> None:
    page = tab.open("/#/line")
    expect(page.get_by_role("button", name="Pause")).to_be_disabled()
    expect(page.get_by_role("button", name="Change to this")).to_be_disabled()
    page.goto(tab.url + "/#/label")
    expect(page.get_by_text("Log in as an operator")).to_be_visible()


def test_a_label_in_the_browser_changes_the_rate(tab: Tab, stage: Stage) -> None:
    stage.push(*([0.9, 0.0] * 4))
    before = stage.edge.street.rates.report().overall.rates["false_positive_rate"].n
    tab.log_in("otto", PASSWORD)
    page = tab.open("/#/label")
    ticket = page.locator("[data-ticket]")
    seen = set()
    for _ in range(4):
        ticket.wait_for()
        number = ticket.get_attribute("data-ticket")
        assert number is not None
        assert number not in seen
        seen.add(number)
        page.keyboard.press("g")
        expect(ticket).not_to_have_attribute("data-ticket", number)
    page.keyboard.press("z")  # undo: the last part again, the new answer corrects the old one
    expect(ticket).to_have_attribute("data-ticket", number)
    page.get_by_label("Optional").fill("dent")
    page.get_by_role("button", name="Defect D").click()
    expect(ticket).not_to_have_attribute("data-ticket", number)
    labels = stage.edge.truth.answers()
    mine = [answer.label for answer in labels if answer.label.labeller == "otto"]
    assert len(mine) == 5
    assert mine[-1].corrects == mine[-2].label_id
    assert (mine[-1].truth.value, mine[-1].defect_type) == ("defect", "dent")
    assert all(label.seconds_spent is not None for label in mine)
    after = stage.edge.street.rates.report().overall.rates["false_positive_rate"].n
    assert after == before + 4
    page = tab.open("/#/quality")
    expect(page.locator("[data-metric=false_positive_rate] small").first).to_contain_text(f"{after} labels")


def test_a_defect_is_marked_with_a_box(tab: Tab, stage: Stage) -> None:
    stage.push(0.9, 0.9)
    tab.log_in("olga", PASSWORD)
    page = tab.open("/#/label")
    ticket = page.locator("[data-ticket]")
    ticket.wait_for()
    number = ticket.get_attribute("data-ticket")
    page.locator(".viewer img").wait_for()
    expect(page.locator(".viewer img")).to_have_js_property("complete", True)
    page.keyboard.press("b")
    area = page.locator(".viewer").bounding_box()
    assert area is not None
    middle = (area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 40, steps=3)
    page.mouse.up()
    expect(page.locator(".viewer .boxes rect")).to_have_count(2)  # the box and its dark edge
    page.keyboard.press("d")
    expect(ticket).not_to_have_attribute("data-ticket", number or "")
    event = stage.edge.truth.ticket(number or "").event_id
    page = tab.open(f"/#/browse/{event}")
    expect(page.get_by_role("dialog").get_by_role("cell", name="olga", exact=True)).to_be_visible()
    part = tab.page.request.get(f"{tab.url}/api/v1/parts/{event}").json()["part"]
    (box,) = part["label"]["boxes"]
    assert box[0] == pytest.approx(0.5, abs=0.02)
    assert box[2] > 0.02


def test_an_alarm_is_raised_seen_and_acknowledged(tab: Tab, stage: Stage) -> None:
    (name,) = stage.push(0.9)
    event = stage.edge.store.by_part(name)[0].event_id
    tab.log_in("otto", PASSWORD)
    page = tab.open("/#/alarms")
    expect(page.get_by_text("No open alarm")).to_be_visible()
    stage.edge.alarms.report(
        "reject_rate", "plate-a", cause=Cause.PROCESS_CHANGE, action=Action.ADVISE, message="rejects rose", parts=[event]
    )
    expect(page.get_by_text("rejects rose").first).to_be_visible()
    expect(page.locator(".rail .badge.alarms")).to_have_text("1")
    expect(page.locator(".gallery .thumb")).to_have_count(1)
    page.get_by_role("button", name="Acknowledge").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("cleaned the die")
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".card .tag.acknowledged")).to_be_visible()
    (alarm,) = stage.edge.alarms.open_alarms()
    assert (alarm.acknowledged_by, alarm.note) == ("otto", "cleaned the die")
    page.get_by_role("button", name="Snooze").click()
    dialog.get_by_label("Reason").fill("waiting for parts")
    dialog.get_by_role("button", name="Snooze").click()
    expect(page.locator(".card .tag.snoozed")).to_be_visible()
    stage.edge.alarms.clear("reject_rate", "plate-a")
    expect(page.get_by_text("No open alarm")).to_be_visible()


def test_a_changeover_is_previewed_confirmed_and_audited(tab: Tab, stage: Stage) -> None:
    tab.log_in("otto", PASSWORD)
    page = tab.open("/#/line")
    page.get_by_role("button", name="Change to this").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("tr.changed", has_text="0.500 / 0.650")).to_be_visible()
    dialog.get_by_role("button", name="Change to this").click()
    expect(page.locator(".recipe.active")).to_contain_text("plate-b")
    assert stage.edge.line.setup.recipe.variant == "plate-b"
    stage.push(0.0)
    expect(page.locator(".where")).to_contain_text("plate-b")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.locator(".banner")).to_contain_text("Planned stop")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".banner")).to_have_count(0)
    done = {(entry.action, entry.who, entry.via) for entry in stage.edge.store.audit_trail(limit=20) if entry.outcome == "done"}
    assert {("recipe", "otto", "http"), ("pause", "otto", "http"), ("resume", "otto", "http")} <= done
    page.get_by_role("button", name="Change to this").click()
    page.get_by_role("dialog").get_by_role("button", name="Change to this").click()
    expect(page.locator(".recipe.active")).to_contain_text("plate-a")


def test_roles_see_what_they_may_do(tab: Tab) -> None:
    tab.log_in("vera", PASSWORD)
    page = tab.open("/#/line")
    expect(page.get_by_role("button", name="Pause")).to_be_disabled()
    page.goto(tab.url + "/#/account")
    page.get_by_role("button", name="Log out").click()
    tab.log_in("anna", PASSWORD)
    page.goto(tab.url + "/#/account")
    form = page.locator("form", has_text="Add user")
    form.get_by_label("User name").fill("nora")
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_role("button", name="Add user").click()
    expect(page.get_by_role("button", name="Remove nora")).to_be_visible()
    page.get_by_role("button", name="Remove nora").click()
    expect(page.get_by_role("button", name="Remove nora")).to_have_count(0)
    page.goto(tab.url + "/#/browse")
    expect(page.get_by_role("link", name="Export for training")).to_be_visible()


def test_parts_are_found_and_shown_in_detail(tab: Tab, stage: Stage) -> None:
    (name,) = stage.push(0.9)
    page = tab.open("/#/browse")
    page.get_by_label("Verdict").select_option("NG")
    card = page.locator(".thumb", has_text=name)
    card.wait_for()
    assert "OK" not in page.locator(".browse-grid .verdict").all_inner_texts()
    card.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name=name)).to_be_visible()
    expect(dialog.locator(".detail-picture img").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_accessibility_violation(browser: Browser, stage: Stage, theme: str) -> None:
    stage.edge.alarms.report("focus", "cam1", cause=Cause.ENVIRONMENT, action=Action.ADVISE, message="less sharp than before")
    tab = Tab(browser, stage.url, theme=theme)
    tab.log_in("anna", PASSWORD)
    found = []
    for name in PAGES:
        page = tab.open(f"/#/{name}")
        page.locator(f".page-{name} section").first.wait_for()
        page.evaluate(AXE.read_text("utf-8"))
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [
            (name, item["id"], item["nodes"][0]["html"][:200])
            for item in result["violations"]
            if item["impact"] in ("serious", "critical")
        ]
    tab.close()
    stage.edge.alarms.clear("focus", "cam1")
    assert found == []


def test_everything_can_be_reached_by_keyboard(tab: Tab) -> None:
    page = tab.open()
    page.locator(".big").wait_for()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('href') ?? document.activeElement.tagName"))
    assert {"#/label", "#/quality", "#/alarms", "#/line", "#/browse", "#/account", "BUTTON", "INPUT", "SELECT"} <= reached


@needs_mosquitto
def test_a_broker_that_is_down_and_an_edge_that_is_killed_are_seen(browser: Browser, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        config = write_settings(tmp_path, broker.port)
        port = _free_http_port(config)
        edge = EdgeProcess(config).start()
        tab = Tab(browser, f"http://127.0.0.1:{port}")
        _wait_for_http(tab)
        write_images(tmp_path / "in", 2)
        page = tab.open()
        page.locator(".big").wait_for()
        mqtt = page.locator(".health-tile", has_text="MQTT")
        expect(mqtt).to_contain_text("Connected")
        broker.kill()
        expect(mqtt).to_contain_text("Not connected")
        write_images(tmp_path / "in", 2, first=2)
        expect(mqtt).to_contain_text("events wait")
        expect(page.locator("[data-count=triggers]")).to_have_text("4")  # the line went on
        edge.kill()
        killed_s = time.monotonic()
        page.locator(".frame.stale").wait_for()
        assert time.monotonic() - killed_s < 4.0  # 3 s are promised; a loaded machine gets one more
        expect(page.locator(".big")).to_have_attribute("data-verdict", "STALE")
        expect(page.locator(".banner")).to_contain_text("No news from the edge")
        tab.close()


@needs_mosquitto
def test_several_edges_over_the_brokers_websocket(browser: Browser, tmp_path: Path) -> None:
    with Mosquitto(tmp_path, websockets=True) as broker:
        websocket = f"ws://127.0.0.1:{broker.websocket_port}"
        with (
            Stage(tmp_path / "one", mqtt_port=broker.port, websocket=websocket, users=False) as one,
            Stage(tmp_path / "two", mqtt_port=broker.port, edge="edge2", users=False) as two,
        ):
            tab = Tab(browser, one.url)
            page = tab.open("/edges")
            first, second = (page.locator(f"[data-edge='plant1/press/line2/{name}']") for name in ("edge1", "edge2"))
            expect(first).to_have_attribute("data-state", "online")
            expect(second).to_have_attribute("data-state", "online")
            one.push(0.9)
            two.push(0.0)
            expect(first.locator(".big")).to_have_attribute("data-verdict", "NG")
            expect(second.locator(".big")).to_have_attribute("data-verdict", "OK")
            two.edge.alarms.report("focus", "cam1", cause=Cause.ENVIRONMENT, action=Action.ADVISE, message="less sharp")
            expect(second).to_contain_text("less sharp")
            two.edge.publisher.close()
            expect(second).to_have_attribute("data-state", "offline")
            expect(second.locator(".big")).to_have_attribute("data-verdict", "STALE")
            broker.kill()
            expect(first).to_have_attribute("data-state", "stale")
            page.evaluate(AXE.read_text("utf-8"))
            result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            assert [item["id"] for item in result["violations"] if item["impact"] in ("serious", "critical")] == []
            assert tab.foreign_requests() == []
            tab.close()


def _free_http_port(config: Path) -> int:
    from tests.system.broker import free_port

    port = free_port()
    config.write_text(config.read_text().replace("[http]\nport = 0", f"[http]\nport = {port}"))
    return port


def _wait_for_http(tab: Tab) -> None:
    give_up_s = time.monotonic() + 60
    while True:
        try:
            if tab.page.request.get(tab.url + "/healthz").ok:
                return
        except Exception:
            assert time.monotonic() < give_up_s, "the edge does not answer"
        time.sleep(0.1)

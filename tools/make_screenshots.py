"""Write docs/screenshots/*.png: every page of the console on a running line of generated parts, with labels and an alarm."""

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.system.broker import Mosquitto  # the stage of the tests is the stage here
from tests.system.browser import CHROMIUM, FLAGS
from tests.system.console_stage import PASSWORD, Stage

from qc.domain.alarm import Action, Cause
from qc.domain.clock import SystemClock

OUT = ROOT / "docs" / "screenshots"
DESK, TABLET = (1440, 900), (1180, 820)
SHOTS = (  # file, page, size, theme
    ("live", "live", DESK, "dark"),
    ("live-tablet", "live", TABLET, "light"),
    ("label", "label", TABLET, "light"),
    ("quality", "quality", DESK, "light"),
    ("alarms", "alarms", DESK, "light"),
    ("line", "line", DESK, "light"),
    ("changeover", "line", TABLET, "dark"),
    ("browse", "browse", DESK, "dark"),
    ("part", "browse", DESK, "light"),
    ("edges", "edges", DESK, "dark"),
    ("account", "account", TABLET, "light"),
)


def main() -> int:
    wanted = sys.argv[1:]
    OUT.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(Mosquitto(folder, websockets=True))
        websocket = f"ws://127.0.0.1:{broker.websocket_port}"
        stage = stack.enter_context(Stage(folder / "one", rate_hz=1.5, mqtt_port=broker.port, websocket=websocket))
        stack.enter_context(
            Stage(folder / "two", rate_hz=0.7, mqtt_port=broker.port, edge="edge2", defect_share=0.05, users=False)
        )
        _history(stage)
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for shot in SHOTS:
            if not wanted or shot[0] in wanted:
                _shoot(browser, stage, shot)
                print(f"wrote docs/screenshots/{shot[0]}.png")
        browser.close()
    return 0


def _history(stage: Stage) -> None:
    """Parts, labels by two inspectors, a challenge part and an alarm."""
    while stage.edge.line.status().triggers < 90 or stage.edge.archive.status().queued:
        time.sleep(0.2)
    for who in ("olga", "otto"):
        for ticket in stage.edge.truth.open_tickets(SystemClock().now(), labeller=who, limit=60 if who == "olga" else 15):
            record = stage.edge.store.by_event(ticket.event_id)
            truth = "defect" if (record.score or 0) > 0.38 else "good"
            fields = {"ticket_id": ticket.ticket_id, "labeller": who, "truth": truth, "seconds_spent": 1.6}
            stage.edge.street.submit_label(fields | ({"defect_type": "dent"} if truth == "defect" else {}))
    rejected = [r.event_id for r in stage.edge.store.find(limit=90) if r.verdict.decision.value != "OK"]
    stage.edge.alarms.report(
        "reject_rate",
        "plate-a/cam1",
        cause=Cause.PROCESS_CHANGE,
        action=Action.ADVISE,
        message="The reject rate of plate-a rose from 8 % to 19 %",
        evidence=3.2e5,
        threshold=2.1e4,
        parts=rejected[:6],
        evidence_by_cause=[
            ("process_change", "Labels say that 17 % of the parts are defective now; 7 % before."),
            ("model_decay", "False positives did not rise: 1 of 14 labelled rejects was good."),
            ("environment", "Brightness, contrast and focus stayed within their bounds."),
        ],
    )
    register = stage.edge.street.register
    register.register("scratch-07", part_id="CH-0007", variant="plate-a", defect_type="scratch", severity="minor")
    register.register("dent-02", part_id="CH-0002", variant="plate-a", defect_type="dent", severity="major")


def _shoot(browser: Browser, stage: Stage, shot: tuple[str, str, tuple[int, int], str]) -> None:
    name, place, size, theme = shot
    login = stage.accounts.log_in("vera" if name == "account" else "anna", PASSWORD)
    assert login is not None
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)
    if name != "account":
        context.add_cookies([{"name": "qc_session", "value": login.token, "url": stage.url}])
    page = context.new_page()
    page.goto(f"{stage.url}/edges" if place == "edges" else f"{stage.url}/#/{place}")
    _arrange(page, name)
    page.screenshot(path=OUT / f"{name}.png")
    context.close()


def _arrange(page: Page, name: str) -> None:
    page.wait_for_selector(".edge" if name == "edges" else ".card")
    page.wait_for_load_state("load")
    page.wait_for_timeout(4000)
    if name.startswith("live"):
        for _ in range(300):  # a rejected part shows more
            if page.get_attribute(".big", "data-verdict") == "NG":
                break
            page.wait_for_timeout(20)
        tile = page.locator(".tile:has(.sign.ng)").last
        tile.click()
        page.wait_for_timeout(700)
    elif name == "quality":
        page.wait_for_selector("[data-metric=detection_rate]")
        page.wait_for_timeout(500)
    elif name == "changeover":
        page.get_by_role("button", name="Change to this").click()
        page.wait_for_timeout(400)
    elif name == "part":
        page.get_by_label("Verdict").select_option("NG")
        page.wait_for_timeout(1500)
        page.locator(".thumb").first.click()
        loaded = "[...document.querySelectorAll('dialog .detail-picture img')].every((i) => i.complete && i.naturalWidth)"
        page.wait_for_selector("dialog .detail-picture img")
        while not page.evaluate(loaded):  # wait_for_function needs eval, which the page's policy forbids
            page.wait_for_timeout(100)
        page.wait_for_timeout(600)


if __name__ == "__main__":
    sys.exit(main())

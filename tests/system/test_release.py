"""kill -9 in the middle of changeovers, promotions, rollbacks, canaries and shadows: every part gets its one verdict, and the registry a
working model. Real process, real broker; the places are those between which the state of the edge changes."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.system.broker import Listener, Mosquitto, needs_mosquitto, wait_until
from tests.system.edge_process import EdgeProcess, write_images, write_settings
from tests.system.test_line import recorded

from qc.domain.errors import PublishError
from qc.domain.record import Json
from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes
from qc.publish.client import CommandClient
from qc.publish.link import MqttOptions
from qc.publish.topics import EdgeName
from qc.release.registry import Registry

pytestmark = [pytest.mark.system, needs_mosquitto, pytest.mark.xdist_group("release")]

NAME = EdgeName("s", "a", "l", "e")
PATIENCE_S = 120.0
"""A start takes two seconds, on a machine that others keep busy forty."""


@dataclass
class Drill:
    """One edge in a folder of its own that is killed again and again."""

    folder: Path
    broker: Mosquitto
    edge: EdgeProcess
    names: list[str] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        return Registry(self.folder / "models")

    def parts(self, count: int, *, wait: bool = True) -> None:
        """Give it parts; wait: until all have their verdicts."""
        self.names += write_images(self.folder / "in", count, first=len(self.names))
        if wait:
            assert wait_until(lambda: len(recorded(self.folder)) >= len(self.names), PATIENCE_S), self.edge.log()[-3000:]

    def last(self, column: str, count: int) -> set[str]:
        """What the records of the last parts say."""
        with closing(sqlite3.connect(f"file:{self.folder / 'var' / 'qc.sqlite3'}?mode=ro", uri=True, timeout=10)) as database:
            return {str(row[0]) for row in database.execute(f"SELECT {column} FROM inspections ORDER BY seq DESC LIMIT {count}")}

    def variants(self) -> list[str]:
        """Of every record, in the order of the part ids."""
        with closing(sqlite3.connect(f"file:{self.folder / 'var' / 'qc.sqlite3'}?mode=ro", uri=True, timeout=10)) as database:
            return [str(row[0]) for row in database.execute("SELECT variant FROM inspections ORDER BY part_id")]

    def send(self, name: str, body: dict[str, Json]) -> None:
        """Until the edge has answered or has died."""
        while self.edge.running():
            try:
                with CommandClient(MqttOptions("127.0.0.1", self.broker.port), NAME) as client:
                    client.send(name, body, timeout_s=1.0, tries=4)  # once executed, as one command
                return
            except PublishError:  # not connected yet, or killed before it could answer
                time.sleep(0.05)

    def model(self, **body: Json) -> None:
        self.send("model", {"operator": "kim", "reason": "drill", **body})

    def live(self, place: str = "", *, armed: bool = False) -> None:
        """A life that ends at this place once it is armed."""
        if armed:
            (self.folder / "armed").touch()
        self.edge.start(dies_at=place)

    def die(self, place: str) -> None:
        """It comes to the place; afterwards every model that the registry names works."""
        assert self.edge.died(PATIENCE_S), f"it did not come to {place}: {self.edge.log()[-3000:]}"
        (self.folder / "armed").unlink()
        for state in self.registry.index().recipes.values():
            for slot in state.slots():
                assert self.registry.prove(slot.model).sha256 == slot.sha256

    def die_of(self, place: str, name: str, body: dict[str, Json]) -> None:
        """Dies at this place of a command, with parts on their way."""
        self.parts(6, wait=False)
        (self.folder / "armed").touch()
        sender = threading.Thread(target=self.send, args=(name, body))
        sender.start()
        self.die(place)
        sender.join()

    def finish(self, *, running: bool = False) -> None:
        """A last life without a kill; then every part has had its one verdict."""
        if not running:
            self.edge.start()
        self.parts(6)
        assert self.edge.stop() == 0
        assert sorted(part for _, part, _ in recorded(self.folder)) == sorted(self.names)


@contextmanager
def drill(folder: Path) -> Iterator[Drill]:
    """An edge that runs ``tiny``, with ``next`` (its equal), ``blind`` (accepts all) and ``strict`` (rejects every other good part) beside it."""
    with Mosquitto(folder) as broker:
        config = write_settings(folder, broker.port, sampling=True)
        for model, (review_at, reject_at) in {"next": (0.6, 0.8), "blind": (1.0, 1.0), "strict": (0.45, 0.8)}.items():
            card = replace(tiny_card(model), review_at=review_at, reject_at=reject_at)
            seal_bundle(folder / "models" / model, tiny_model_bytes(), card)
        line = Drill(folder, broker, EdgeProcess(config))
        try:
            yield line
        finally:
            if line.edge.running():
                line.edge.kill()


CHANGEOVER = {
    "Shelf.setup:return": False,
    "LineState.put:call": False,
    "LineState.put:return": True,
    "Control._tell:call": True,
    "Control.audit:return": True,
}
"""Places of a changeover, and whether it outlives a kill there."""


@pytest.mark.timeout(900)
def test_a_changeover_that_is_killed_has_happened_or_not(tmp_path: Path) -> None:
    with drill(tmp_path) as line:
        running = "cell"
        for place, lasts in CHANGEOVER.items():
            line.live(place)
            line.parts(6)
            assert line.last("variant", 3) == {running}
            wanted = "other" if running == "cell" else "cell"
            line.die_of(place, "recipe", {"variant": wanted})
            running = wanted if lasts else running
        line.finish()
        assert line.last("variant", 3) == {running}


STEP = (
    "write_durably>posix.fsync",
    "write_durably>posix.replace",
    "write_durably:return",
    "Rollout._take_over:call",
    "Shelf.put:return",
    "Rollout._follow_shadow:call",
)
"""Places of a step: from the old index to the new one, and from there to a line that does what it says."""


@pytest.mark.timeout(900)
def test_a_promotion_and_a_rollback_that_are_killed_have_happened_or_not(tmp_path: Path) -> None:
    with drill(tmp_path) as line:
        line.live()
        line.parts(3)
        line.model(action="shadow", model="next")
        line.edge.kill()
        for place in STEP:
            before = line.registry.index()
            active = before.recipes["cell"].active.model
            line.live(place)
            line.parts(6)
            assert line.last("model_id", 3) == {active}, place
            if active == "next":
                line.die_of(place, "model", {"action": "rollback", "operator": "kim"})
            else:
                line.die_of(
                    place, "model", {"action": "promote", "model": "next", "override": True, "operator": "kim", "reason": "drill"}
                )
            after = line.registry.index()
            assert (after.recipes["cell"].active.model != active) == (len(after.history) > len(before.history)), place
        assert {step.action for step in after.history} == {"register", "shadow", "promote", "rollback"}
        line.finish()
        assert line.last("model_id", 3) == {after.recipes["cell"].active.model}


@pytest.mark.timeout(900)
def test_an_active_model_that_is_gone_gives_way_whenever_the_start_is_killed(tmp_path: Path) -> None:
    with drill(tmp_path) as line:
        line.live()
        line.parts(3)
        line.model(action="promote", model="next", override=True)
        line.edge.kill()
        (tmp_path / "models" / "next" / "model.onnx").write_bytes(b"torn by a bad disk")
        line.parts(6, wait=False)
        for place in ("Rollout.fall_back:call", "write_durably>posix.replace", "write_durably:return"):
            line.live(place, armed=True)
            assert line.edge.died(PATIENCE_S), line.edge.log()[-3000:]
        (tmp_path / "armed").unlink()
        assert line.registry.index().recipes["cell"].active.model == "tiny"
        line.finish()
        assert line.last("model_id", 9) == {"tiny"}


def label(line: Drill, ear: Listener, done: set[str], truth: str, *, wanted: Callable[[str], bool], looks: int = 1) -> None:
    """Answer what the edge asks over MQTT about parts of interest, as two people would, until it is dead or no question is left."""
    quiet_s = time.monotonic() + 2.0
    while line.edge.running() and time.monotonic() < quiet_s:
        for request in [item.json() for item in ear.all() if item.topic.endswith("evt/label-request")]:
            ticket, look = str(request["ticket_id"]), int(request["review_round"])
            if ticket not in done and look <= looks and wanted(str(request["part_id"])):
                done.add(ticket)
                quiet_s = time.monotonic() + 2.0
                line.send("label", {"ticket_id": ticket, "truth": truth, "labeller": f"inspector-{look}"})
                state = ear.last("state/release")
                told = (ear.last("evt/line") or {}).get("what")
                if told == "model_rollback" or (state and (state["releases"][0]["canary"] or {}).get("withdrawn")):
                    return


def brightness(part_id: str) -> int:
    """0 (dark, good) to 4 (bright, defective) as ``write_images`` makes them; ``tiny`` rejects 3 and 4."""
    return int(part_id.rsplit("-", 1)[1]) % 5


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("candidate", "truth", "levels", "looks", "reason"),
    [
        ("blind", "defect", (3, 4), 2, "labels say that its detection rate is out of bounds"),
        ("strict", "good", (2,), 1, "labels say that its false positive rate is out of bounds"),
    ],
)
def test_labels_over_mqtt_take_the_decision_back_within_one_part(
    tmp_path: Path, candidate: str, truth: str, levels: tuple[int, ...], looks: int, reason: str
) -> None:
    with drill(tmp_path) as line, Listener(line.broker.port, "qc/v1/#") as ear:
        line.live()
        line.parts(3)
        line.model(action="canary", model=candidate, share=1.0)
        line.parts(100)
        assert line.last("role", 90) == {"canary"}
        label(line, ear, set(), truth, wanted=lambda part: int(part[-6:]) >= 3 and brightness(part) in levels, looks=looks)
        line.parts(1)
        assert line.last("role", 1) == {"active"}
        assert ear.wait_until(lambda: (ear.last("state/release") or {})["releases"][0]["last_rollback"] is not None, 20)
        told = ear.last("state/release")["releases"][0]["last_rollback"]
        assert (told["who"], told["former"], told["model"], told["reason"]) == ("qc", candidate, "tiny", reason)
        assert ear.wait_until(lambda: ear.last("evt/line")["what"] == "model_rollback", 20)
        assert any(item.json()["quantity"] == "canary" for item in ear.all() if item.topic.endswith("evt/alarm"))
        line.finish(running=True)


@pytest.mark.timeout(900)
def test_a_canary_outlives_a_kill_and_so_does_its_withdrawal(tmp_path: Path) -> None:
    with drill(tmp_path) as line, Listener(line.broker.port, "qc/v1/#") as ear:
        line.live("Rollout._follow_canary:call")
        line.parts(6)
        line.die_of(
            "Rollout._follow_canary:call", "model", {"action": "canary", "model": "blind", "share": 1.0, "operator": "kim"}
        )
        line.live("CanaryTrial._end>Event.set")
        line.parts(60)
        assert line.last("role", 60) == {"canary"}  # it was written; so it goes on
        (tmp_path / "armed").touch()
        label(line, ear, set(), "defect", wanted=lambda part: brightness(part) > 2, looks=2)
        line.die("CanaryTrial._end>Event.set")
        assert line.registry.index().recipes["cell"].canary is not None
        line.parts(6, wait=False)
        for place in ("Registry.rollback:call", "write_durably>posix.replace"):
            line.live(place, armed=True)  # the labels are still there: it is withdrawn before a part meets it
            line.die(place)
        line.finish()
        assert line.last("role", 12) == {"active"}
        last = line.registry.index().history[-1]
        assert (last.action, last.who, last.former) == ("rollback", "qc", "blind")


@pytest.mark.timeout(900)
def test_a_shadow_that_is_shed_under_load_is_killed_and_goes_on(tmp_path: Path) -> None:
    with drill(tmp_path) as line, Listener(line.broker.port, "qc/v1/#") as ear:
        line.live()
        line.parts(3)
        line.model(action="shadow", model="blind")
        line.parts(300, wait=False)
        assert ear.wait_until(lambda: (shadow := shadow_of(ear)) is not None and int(shadow["shed"]) > 0, 40)
        line.edge.kill()
        for place in ("Shadow._judge:call", "ShadowStore.add:call", "ShadowDesk._ask:call"):
            line.live(place, armed=True)
            line.parts(60, wait=False)  # the earlier ones may be through
            line.die(place)
        line.live()
        line.parts(1)
        line.finish(running=True)
        with closing(sqlite3.connect(tmp_path / "var" / "qc.sqlite3")) as database:
            cells = dict(database.execute("SELECT cell, parts FROM shadow_cells"))
            kept = dict(database.execute("SELECT cell, count(*) FROM shadow_disagreements GROUP BY cell"))
            tickets = database.execute(
                "SELECT count(*), count(i.event_id) FROM tickets t LEFT JOIN inspections i USING (event_id) WHERE t.purpose = 'training'"
            ).fetchone()
        assert cells.get("only_active_rejects", 0) == kept.get("only_active_rejects", 0) > 0  # counts and rows fit each other
        assert tickets[0] == tickets[1] > 0
        assert line.last("role", 300) == {"active"}


def shadow_of(ear: Listener) -> dict[str, Json] | None:
    state = ear.last("state/release")
    return None if state is None else state["releases"][0]["shadow"]


def qc(*arguments: str) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-c", "from qc.cli import main; main()", *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "COLUMNS": "200"})


@pytest.mark.timeout(900)
def test_the_variant_changes_by_command_line_and_barcode_and_the_releases_are_shown(tmp_path: Path) -> None:
    with drill(tmp_path) as line, Listener(line.broker.port, "qc/v1/#") as ear:
        config = str(line.edge.config)
        recipe = tmp_path / "recipes" / "other.toml"
        recipe.write_text(recipe.read_text().replace("[halt]", 'part_id_prefixes = ["part-00001"]\n[halt]', 1))
        line.live()
        line.parts(3)
        line.model(action="shadow", model="next")
        assert qc("models", "canary", config, "blind", "--variant", "other", "--share", "0.5", "--why", "drill").returncode == 0
        line.parts(17)  # 3 to 19: from 10 on the barcode asks for the other recipe
        assert line.variants() == ["cell"] * 10 + ["other"] * 10
        assert ear.wait_until(lambda: len([r for r in (ear.last("state/release") or {})["releases"] if r["canary"]]) == 1, 20)
        shown = qc("status", config)
        assert "cell: shadow next judges 100% of the parts" in shown.stdout, shown.stdout + shown.stderr
        assert "other: canary blind decides 50% of the parts: " in shown.stdout
        done = qc("recipe", config, "other", "--operator", "kim")
        assert "cell -> other, judged by tiny" in done.stdout, done.stderr
        line.parts(3)
        assert line.variants()[-3:] == ["other"] * 3
        change = ear.last("evt/line")
        assert (change["what"], change["who"], change["via"]) == ("changeover", "kim", "mqtt")
        refused = qc("recipe", config, "absent")
        assert refused.returncode == 2
        assert refused.stderr.startswith("qc: unknown_variant: no recipe for 'absent'")
        line.finish(running=True)

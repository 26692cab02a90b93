"""The whole line with a real broker: nothing is lost and nothing comes twice, whatever is killed or refused."""

import json
import random
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.system.broker import Listener, Mosquitto, Pki, free_port, needs_mosquitto, wait_until
from tests.system.edge_process import EdgeProcess, write_images, write_settings

from qc.domain.errors import CommandError
from qc.domain.frame import Pixels
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import ScriptedSource
from qc.ingest.trigger import EachFrame
from qc.publish.client import CommandClient
from qc.publish.link import MqttOptions
from qc.publish.topics import EdgeName
from qc.settings import load_line, load_recipes
from qc.wiring import Edge, build_edge

pytestmark = [pytest.mark.system, needs_mosquitto, pytest.mark.xdist_group("line")]

PARTS = 6000


def recorded(folder: Path) -> list[tuple[int, str, str]]:
    """(seq, part_id, event_id) of every record, as another process sees the database."""
    path = folder / "var" / "qc.sqlite3"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        try:
            return list(database.execute("SELECT seq, part_id, event_id FROM inspections ORDER BY seq"))
        except sqlite3.OperationalError:  # not created yet
            return []


@pytest.mark.timeout(300)
def test_6000_parts_while_broker_and_edge_are_killed_three_times_each(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, persistent=True) as broker, Listener(broker.port, "qc/v1/+/+/+/+/evt/inspection") as ear:
        config = write_settings(tmp_path, broker.port)
        names = write_images(tmp_path / "in", PARTS)
        edge = EdgeProcess(config).start()
        moments = sorted(random.Random(7).sample(range(300, PARTS - 300), 6))
        for number, moment in enumerate(moments):
            assert wait_until(lambda at=moment: len(recorded(tmp_path)) >= at or not edge.running(), 120)
            assert edge.running(), edge.log()[-3000:]
            if number % 2:
                edge.kill()
                edge.start()
            else:
                broker.kill()
                broker.start()
        assert wait_until(lambda: len(recorded(tmp_path)) >= PARTS, 120), edge.log()[-3000:]
        assert wait_until(lambda: len(ear.events()) >= PARTS, 90), f"{len(ear.events())} of {PARTS} heard"
        assert edge.stop() == 0
        events = ear.events()
    rows = recorded(tmp_path)
    assert sorted(part for _, part, _ in rows) == names  # exactly one record each
    assert [(event["seq"], event["part_id"], event["event_id"]) for event in events] == rows  # each once, in order


@contextmanager
def edge_in_process(config: Path, pictures: int, environ: dict[str, str] | None = None) -> Iterator[Edge]:
    settings = load_line(config, environ or {})
    source = ScriptedSource("cam1", [grey(number) for number in range(pictures)])
    edge = build_edge(settings, load_recipes(settings.recipes.directory), cameras=[TriggeredCamera(source, EachFrame())])
    edge.start()
    try:
        yield edge
    finally:
        edge.stop()


def grey(number: int) -> Pixels:
    pixels = np.full((32, 32, 3), 60 + 37 * (number % 5), np.uint8)
    pixels[::2, 0] = number % 50
    return pixels


@pytest.mark.timeout(240)
def test_an_hours_worth_of_parts_without_a_broker_is_kept_and_delivered_when_it_comes(tmp_path: Path) -> None:
    """Five parts a second for an hour; the line neither waits nor forgets, and says that it is cut off."""
    hour = 18_000
    port = free_port()
    config = write_settings(tmp_path, port)
    with edge_in_process(config, hour) as edge:
        assert wait_until(edge.line.finished, 150)
        assert wait_until(lambda: edge.line.status().triggers == hour, 20)
        status = edge.publisher.status()
        assert not status.connected
        assert status.depth is not None
        assert status.depth.rows >= hour
        assert "refuse" in status.last_error
        broker = Mosquitto(tmp_path)
        _move_to_port(broker, port)
        with broker, Listener(port, "qc/v1/+/+/+/+/evt/inspection") as ear:
            assert wait_until(lambda: len(ear.all()) >= hour, 120), f"{len(ear.all())} of {hour} heard"
            events = ear.events()
        assert [(event["seq"], event["part_id"], event["event_id"]) for event in events] == recorded(tmp_path)


def _move_to_port(broker: Mosquitto, port: int) -> None:
    conf = broker.folder / "mosquitto.conf"
    conf.write_text(conf.read_text().replace(f"listener {broker.port} ", f"listener {port} "))
    broker.port = port


def test_a_broker_that_refuses_inspections_costs_no_part_and_is_visible(tmp_path: Path) -> None:
    acl = "user edge\ntopic write qc/v1/s/a/l/e/status\ntopic write qc/v1/s/a/l/e/state/+\ntopic read qc/v1/s/a/l/e/cmd/+\n"
    with Mosquitto(tmp_path, users={"edge": "secret"}, acl=acl) as broker:
        config = write_settings(tmp_path, broker.port, mqtt='username = "edge"')
        with edge_in_process(config, 200, {"QC_MQTT_PASSWORD": "secret"}) as edge:
            assert wait_until(lambda: edge.publisher.status().dead >= 200, 40)
            assert edge.line.status().triggers == 200
            assert any(alarm.quantity == "dead_letters" for alarm in edge.alarms.open_alarms())
            assert len(edge.store.dead_letters(limit=1000)) >= 200  # nothing is lost: they can be queued again
    assert len(recorded(tmp_path)) == 200


def test_receive_maximum_5_delivers_everything_in_order(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, receive_maximum=5) as broker, Listener(broker.port, "qc/v1/+/+/+/+/evt/inspection") as ear:
        with edge_in_process(write_settings(tmp_path, broker.port), 500):
            assert wait_until(lambda: len(ear.events()) == 500, 40)
        assert [event["seq"] for event in ear.events()] == [seq for seq, _, _ in recorded(tmp_path)]


def test_an_expired_certificate_stops_the_delivery_and_not_the_line(tmp_path: Path) -> None:
    pki = Pki(tmp_path, expired_server=True)
    with Mosquitto(tmp_path, tls=pki) as broker:
        config = write_settings(tmp_path, broker.port, mqtt=f'host = "localhost"\ntls = {{ ca_file = "{pki.ca_file}" }}')
        with edge_in_process(config, 200) as edge:
            assert wait_until(lambda: edge.line.status().triggers == 200, 40)
            assert wait_until(lambda: "expired" in edge.publisher.status().last_error, 20)
            assert edge.store.depth().rows >= 200
    assert len(recorded(tmp_path)) == 200


def test_health_metrics_commands_and_state_of_a_running_edge(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, "qc/v1/#") as ear:
        config = write_settings(tmp_path, broker.port, sampling=True)
        write_images(tmp_path / "in", 20)
        edge = EdgeProcess(config).start()
        assert wait_until(lambda: len(recorded(tmp_path)) == 20, 60), edge.log()
        url = next(json.loads(line)["url"] for line in edge.log().splitlines() if "http_listening" in line)
        assert json.loads(page(f"{url}/readyz"))["ready"]
        assert wait_until(lambda: "qc_mqtt_connected 1.0" in page(f"{url}/metrics"), 20)
        assert 'qc_inspection_seconds_count{camera="cam1"} 20.0' in page(f"{url}/metrics")
        with CommandClient(MqttOptions("127.0.0.1", broker.port), EdgeName("s", "a", "l", "e")) as client:
            assert client.send("recipe", {"variant": "other"})["former_variant"] == "cell"
            with pytest.raises(CommandError, match="no recipe for 'third'"):
                client.send("recipe", {"variant": "third"})
            assert client.send("snapshot")["image_ref"].startswith("/api/v1/images/")
            assert client.send("pause", {"reason": "shift change"}) == {"paused": True}
            write_images(tmp_path / "in", 5, first=100)
            assert client.send("resume") == {"paused": False}
            assert wait_until(lambda: len(recorded(tmp_path)) == 25, 20)
            with pytest.raises(CommandError, match="triggers itself"):
                client.send("trigger")
        assert ear.wait_until(lambda: (ear.last("state/recipe") or {}).get("variant") == "other", 20)
        assert ear.wait_until(lambda: (ear.last("state/counters") or {}).get("triggers") == 25, 20)
        assert edge.stop() == 0
        assert ear.wait_until(lambda: (ear.last("status") or {}).get("state") == "offline", 10)
        what = [item.json()["what"] for item in ear.all() if item.topic.endswith("evt/line")]
        assert what == ["started", "changeover", "paused", "resumed", "stopped"]
        assert ear.last("evt/label-request") is not None
    with closing(sqlite3.connect(tmp_path / "var" / "qc.sqlite3")) as database:
        audit = list(database.execute("SELECT action, outcome FROM audit ORDER BY audit_id"))
    assert ("recipe", "done") in audit
    assert any(action == "recipe" and outcome.startswith("refused: unknown_variant") for action, outcome in audit)
    edge.start()  # the changeover is remembered
    assert last_variant(edge, tmp_path) == "other"
    edge.stop()


def page(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


def last_variant(edge: EdgeProcess, folder: Path) -> str:
    write_images(folder / "in", 1, first=200)
    assert wait_until(lambda: len(recorded(folder)) == 26, 30), edge.log()
    with closing(sqlite3.connect(folder / "var" / "qc.sqlite3")) as database:
        return str(database.execute("SELECT variant FROM inspections ORDER BY seq DESC LIMIT 1").fetchone()[0])

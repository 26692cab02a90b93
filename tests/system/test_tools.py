"""The client tools against a running edge and a real broker: doctor, status, watch, replay."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.broker import Listener, Mosquitto, needs_mosquitto, wait_until
from tests.system.edge_process import EdgeProcess, write_images, write_settings

from qc.commands.doctor import Finding, Grade, examine
from qc.commands.replay import replay
from qc.commands.status import status
from qc.domain.errors import PublishError
from qc.publish.check import check_broker
from qc.publish.link import MqttOptions
from qc.publish.topics import EdgeName
from qc.settings import load_line
from qc.wiring.broker import mqtt_options

pytestmark = [pytest.mark.system, needs_mosquitto, pytest.mark.xdist_group("tools")]

NAME = EdgeName("s", "a", "l", "e")
QC = [sys.executable, "-c", "from qc.cli import main; main()"]


def qc(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "COLUMNS": "80"}
    result = subprocess.run([*QC, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False, env=environ)
    assert "Traceback" not in result.stderr, result.stderr
    return result


def broker_finding(config: Path) -> Finding:
    return next(finding for finding in examine(config) if finding.check == "broker")


def test_a_broker_in_order_takes_and_returns_a_message_that_no_consumer_keeps(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, "qc/v1/#") as ear:
        config = write_settings(tmp_path, broker.port, watch=False)
        write_images(tmp_path / "in", 1)
        result = qc("doctor", config)
        assert result.returncode == 0, result.stdout
        assert "what is published comes back" in " ".join(result.stdout.split())
        assert max(len(line) for line in result.stdout.splitlines()) <= 80
        assert ear.wait_until(lambda: len(ear.all()) == 1, 10)
        assert not ear.all()[0].retained
        with Listener(broker.port, "qc/v1/#", client_id="latecomer") as late:
            assert not late.wait_until(lambda: bool(late.all()), 0.3)


@pytest.mark.parametrize(
    ("acl", "grade", "words"),
    [
        ("user edge\ntopic readwrite qc/v1/#\n", Grade.OK, "what is published comes back"),
        ("user edge\ntopic write qc/v1/s/a/l/e/#\ntopic read qc/v1/s/a/l/e/cmd/+\n", Grade.OK, "does not come back"),
        ("user edge\ntopic read qc/v1/#\n", Grade.FAILED, "needs the right to write qc/v1/s/a/l/e/#"),
    ],
    ids=["all", "write-only", "read-only"],
)
def test_the_edges_own_rights_are_tried(tmp_path: Path, acl: str, grade: Grade, words: str) -> None:
    with Mosquitto(tmp_path, users={"edge": "secret"}, acl=acl) as broker:
        options = MqttOptions("127.0.0.1", broker.port, username="edge", password="secret")
        if grade is Grade.FAILED:
            with pytest.raises(PublishError, match=words):
                check_broker(options, NAME, timeout_s=3.0)
        else:
            done = check_broker(options, NAME, timeout_s=1.0)
            assert done[0].startswith("connected to ")
            assert words in done[-1]


def test_a_wrong_password_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Mosquitto(tmp_path, users={"edge": "secret"}) as broker:
        config = write_settings(tmp_path, broker.port, mqtt='username = "edge"', watch=False)
        write_images(tmp_path / "in", 1)
        monkeypatch.setenv("QC_MQTT_PASSWORD", "wrong")
        found = broker_finding(config)
        assert found.grade is Grade.FAILED
        assert "refused the connection" in found.message
        monkeypatch.setenv("QC_MQTT_PASSWORD", "secret")
        assert broker_finding(config).grade is Grade.OK


def test_doctor_does_not_disturb_a_running_edge_and_status_watch_and_replay_follow_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, "qc/v1/+/+/+/+/evt/inspection", "qc/v1/+/+/+/+/status") as ear:
        config = write_settings(tmp_path, broker.port)
        write_images(tmp_path / "in", 5)
        assert status(config, "", as_json=True) == 1  # the broker has never heard of it
        edge = EdgeProcess(config).start()
        assert wait_until(lambda: len(ear.events()) == 5, 60), edge.log()

        check_broker(mqtt_options(load_line(config, {}).mqtt), NAME, timeout_s=2.0)
        assert {item.json()["state"] for item in ear.all() if item.topic.endswith("/status")} == {"online"}

        capsys.readouterr()
        assert status(config, "", as_json=True) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["edge"], told["condition"]) == ("s/a/l/e", "online")
        assert told["states"]["counters"]["triggers"] == 5
        assert status(config, "", as_json=False) == 0
        assert "s/a/l/e: online" in capsys.readouterr().out

        assert replay(config, "", from_seq=1, since="") == 0
        assert ear.wait_until(lambda: len([item for item in ear.all() if "inspection" in item.topic]) == 10, 20)
        assert len(ear.events()) == 5  # consumers drop the repeats
        with pytest.raises(PublishError, match="s/a/l/other"):
            replay(config, "s/a/l/other", from_seq=1, since="")

        before = broker.log().count("as qc-watch")
        watcher = subprocess.Popen(
            [*QC, "watch", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "80"},
        )
        assert ear.wait_until(lambda: broker.log().count("as qc-watch") > before, 60)
        write_images(tmp_path / "in", 1, first=50)
        assert wait_until(lambda: len(ear.events()) == 6, 30)
        wait_until(lambda: watcher.poll() is not None, 1.5)
        watcher.send_signal(signal.SIGINT)
        view, errors = watcher.communicate(timeout=30)
        assert (watcher.returncode, errors) == (0, "")
        assert "s/a/l/e online" in view
        assert "part-000050" in view
        assert edge.stop() == 0


def test_status_of_an_edge_that_has_left_is_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port, "qc/v1/#") as ear:
        config = write_settings(tmp_path, broker.port)
        edge = EdgeProcess(config).start()
        assert ear.wait_until(lambda: (ear.last("/status") or {}).get("state") == "online", 60), edge.log()
        edge.kill()
        assert ear.wait_until(lambda: (ear.last("/status") or {}).get("state") == "offline", 60)
        assert status(config, "", as_json=True) == 1
        assert json.loads(capsys.readouterr().out)["condition"] == "offline"

"""MQTT settings to connection options and publisher."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.system.edge_process import write_settings

from qc.domain.ports import Command
from qc.domain.record import Json
from qc.publish.link import TlsOptions
from qc.publish.mqtt import MqttPublisher
from qc.publish.silent import SilentPublisher
from qc.publish.topics import EdgeName
from qc.record.fake import MemoryRecordStore
from qc.settings import load_line
from qc.settings.line import MqttSettings
from qc.wiring.broker import build_publisher, mqtt_options


def mqtt(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None) -> MqttSettings:
    return load_line(write_settings(tmp_path, 1884, mqtt=text), environ or {}).mqtt


def test_options_hold_what_the_settings_and_the_environment_say(tmp_path: Path) -> None:
    text = 'host = "broker"\nusername = "edge1"\nclient_id = "id1"\nkeepalive_s = 7\ntls = { ca_file = "ca.pem" }'
    options = mqtt_options(mqtt(tmp_path, text, {"QC_MQTT_PASSWORD": "geheim"}))
    assert (options.host, options.port, options.client_id, options.keepalive_s) == ("broker", 1884, "id1", 7)
    assert (options.username, options.password) == ("edge1", "geheim")
    assert options.tls == TlsOptions(tmp_path / "ca.pem", None, None)


def test_nothing_said_means_no_user_no_password_no_tls(tmp_path: Path) -> None:
    options = mqtt_options(mqtt(tmp_path))
    assert (options.username, options.password, options.tls) == (None, None, None)
    assert mqtt_options(mqtt(tmp_path, "tls = {}")).tls == TlsOptions(None, None, None)  # TLS by the system's authorities


@pytest.mark.parametrize(
    ("text", "kind"), [("enabled = false", SilentPublisher), ("", MqttPublisher), ("home_assistant = true", MqttPublisher)]
)
def test_the_settings_choose_the_publisher(tmp_path: Path, text: str, kind: type) -> None:
    def handler(_command: Command) -> Mapping[str, Json]:
        return {}

    name = EdgeName("s", "a", "l", "e")
    publisher = build_publisher(
        mqtt(tmp_path, text), MemoryRecordStore(), name, handler=handler, on_dead_letter=lambda _row, _reason: None
    )
    assert type(publisher) is kind
    assert publisher.status().depth is not None
    publisher.close()

"""Which edge a client command talks to, and through which broker."""

from pathlib import Path

from qc.publish.link import MqttOptions
from qc.publish.topics import EdgeName
from qc.settings import load_line
from qc.wiring.broker import mqtt_options


def target(config: Path, edge: str) -> tuple[MqttOptions, EdgeName]:
    """The settings' broker, and the edge written as site/area/line/edge or else the settings' own. Raises ConfigError.

    The client takes an id of its own: two clients with one id throw each other out.
    """
    settings = load_line(config)
    own = settings.edge
    name = EdgeName.parse(edge) if edge else EdgeName(own.site, own.area, own.line, own.edge)
    return mqtt_options(settings.mqtt.model_copy(update={"client_id": ""})), name

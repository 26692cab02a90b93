"""Optional Home Assistant discovery: retained configs that make an edge appear there as a device with its sensors.

Source: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery. The edge needs write access to the discovery prefix.
"""

from qc.domain.record import EventKind, Json
from qc.publish.payloads import to_json
from qc.publish.topics import EdgeName, Topics

COUNTERS = {
    "triggers": "Triggers",
    "ok": "OK",
    "ng": "NG",
    "review": "Review",
    "not_inspected": "Not inspected",
    "halts": "Halts",
}


def discovery_messages(name: EdgeName, version: str, *, prefix: str = "homeassistant") -> list[tuple[str, bytes]]:
    """(topic, JSON) pairs to publish retained: last verdict, last score, counters, connectivity."""
    topics = Topics(name)
    node = "qc_" + str(name).replace("/", "_")
    device: Json = {
        "identifiers": [node],
        "name": f"Inspection {name.line} {name.edge}",
        "manufacturer": "qc",
        "model": "qc-edge",
        "sw_version": version,
        "suggested_area": name.area,
    }
    available: dict[str, Json] = {
        "availability_topic": topics.status,
        "availability_template": "{{ value_json.state }}",
        "payload_available": "online",
        "payload_not_available": "offline",
    }

    def config(component: str, key: str, body: dict[str, Json]) -> tuple[str, bytes]:
        common: dict[str, Json] = {"unique_id": f"{node}_{key}", "object_id": f"{node}_{key}", "device": device}
        return f"{prefix}/{component}/{node}/{key}/config", to_json(common | body)

    inspection = topics.event(EventKind.INSPECTION)
    verdict: dict[str, Json] = {
        "name": "Verdict",
        "state_topic": inspection,
        "value_template": "{{ value_json.verdict }}",
        "json_attributes_topic": inspection,
        "icon": "mdi:magnify-scan",
    }
    score: dict[str, Json] = {
        "name": "Score",
        "state_topic": inspection,
        "value_template": "{{ value_json.score }}",
        "state_class": "measurement",
    }
    connectivity: dict[str, Json] = {
        "name": "Connectivity",
        "state_topic": topics.status,
        "value_template": "{{ value_json.state }}",
        "payload_on": "online",
        "payload_off": "offline",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
    }
    messages = [
        config("sensor", "verdict", verdict | available),
        config("sensor", "score", score | available),
        config("binary_sensor", "connectivity", connectivity),
    ]
    for key, label in COUNTERS.items():
        counter: dict[str, Json] = {
            "name": label,
            "state_topic": topics.state("counters"),
            "value_template": f"{{{{ value_json.{key} }}}}",
            "state_class": "total_increasing",
        }
        messages.append(config("sensor", key, counter | available))
    return messages

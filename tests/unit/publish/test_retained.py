from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from tests.unit.publish.samples import AT, NAME

from qc.publish.payloads import StatusPayload
from qc.publish.retained import Presence, StateSlots
from qc.publish.session import Message


def value(topic: str, payload: bytes) -> Message:
    return Message(topic, payload, Properties(PacketTypes.PUBLISH), retain=True)


def payloads(slots: StateSlots, now_s: float) -> list[bytes]:
    found = []
    while (message := slots.due(now_s)) is not None:
        found.append(message.payload)
    return sorted(found)


def test_only_the_latest_value_is_sent_and_not_too_often() -> None:
    slots = StateSlots(interval_s=1.0)
    slots.keep(value("a", b"1"))
    slots.keep(value("b", b"x"))
    assert payloads(slots, 10.0) == [b"1", b"x"]
    slots.keep(value("a", b"2"))
    slots.keep(value("a", b"3"))
    assert payloads(slots, 10.5) == []
    assert payloads(slots, 11.0) == [b"3"]
    assert payloads(slots, 99.0) == []


def test_a_new_connection_gets_every_value_at_once() -> None:
    slots = StateSlots(interval_s=60.0)
    slots.keep(value("a", b"1"))
    assert payloads(slots, 10.0) == [b"1"]
    slots.keep(value("b", b"2"))
    slots.all_again()
    assert payloads(slots, 10.1) == [b"1", b"2"]


def test_every_status_obeys_the_schema() -> None:
    presence = Presence(NAME, "0.1.0", AT, 15.0)
    for state, reason in [
        ("online", "connected"),
        ("online", "heartbeat"),
        ("offline", "shutdown"),
        ("offline", "connection_lost"),
    ]:
        body = StatusPayload.model_validate_json(presence.payload(state, reason, connects=2, outbox_rows=None))
        assert (body.state, body.reason, body.connects) == (state, reason, 2)

"""Tries a broker as the edge would use it: connect, then publish and read back with the edge's own rights."""

import queue
from typing import TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from qc.domain.errors import PublishError
from qc.publish.client import Connection
from qc.publish.link import MqttOptions
from qc.publish.session import message_properties
from qc.publish.topics import EdgeName, Topics


def check_broker(options: MqttOptions, name: EdgeName, *, timeout_s: float = 5.0) -> list[str]:
    """What works, a sentence each. Raises PublishError with what does not: not reached, not let in, not allowed.

    Publishes one unretained message to ``state/doctor``, which no consumer listens for, and waits for it to come back;
    also subscribes to the commands. A running edge with the same client id is not disturbed.
    """
    topics = Topics(name)
    topic = topics.state("doctor")
    connection = Connection(options, "doctor", reconnect=False)
    acks: queue.SimpleQueue[ReasonCode] = queue.SimpleQueue()
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    grants: queue.SimpleQueue[list[ReasonCode]] = queue.SimpleQueue()
    client: mqtt.Client = connection.client
    client.on_publish = lambda _c, _u, _m, reason, _p: acks.put(reason)
    client.on_message = lambda _c, _u, message: messages.put(bytes(message.payload))
    client.on_subscribe = lambda _c, _u, _m, reasons, _p: grants.put(reasons)
    connection.subscriptions += [topic, topics.commands]
    connection.open()
    try:
        done = [f"connected to {options.server}"]
        granted = _get(grants, timeout_s, f"{options.server} does not answer the subscription")
        if refused := [reason.getName() for reason in granted if reason.is_failure]:
            raise PublishError(
                f"the broker refuses the subscription to {topics.commands}: {', '.join(refused)}; check its access rules"
            )
        client.publish(topic, b"doctor", qos=1, properties=message_properties("qc.state.doctor/1"))
        reason = _get(acks, timeout_s, f"{options.server} does not acknowledge what is published")
        if reason.is_failure:
            raise PublishError(
                f"the broker refuses {topic}: {reason.getName()}; the edge needs the right to write {topics.root}/#"
            )
        done.append(f"may publish below {topics.root}/ and subscribe to its commands")
        try:
            _get(messages, timeout_s, "")
        except PublishError:
            done.append("what is published does not come back: the user may not read its own topics (not needed by the edge)")
        else:
            done.append("what is published comes back")
        return done
    finally:
        connection.close()


T = TypeVar("T")


def _get(source: "queue.SimpleQueue[T]", timeout_s: float, failure: str) -> T:
    try:
        return source.get(timeout=timeout_s)
    except queue.Empty:
        raise PublishError(failure) from None

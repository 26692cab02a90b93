"""MQTT settings to a publisher, and to the options that the client tools use."""

from collections.abc import Callable
from importlib.metadata import version

from qc.domain.ports import CommandHandler, Publisher, RecordStore
from qc.domain.record import OutboxRow
from qc.publish.homeassistant import discovery_messages
from qc.publish.link import MqttOptions, TlsOptions
from qc.publish.mqtt import MqttPublisher
from qc.publish.silent import SilentPublisher
from qc.publish.topics import EdgeName
from qc.settings.line import MqttSettings


def mqtt_options(settings: MqttSettings) -> MqttOptions:
    tls = settings.tls
    return MqttOptions(
        host=settings.host,
        port=settings.port,
        client_id=settings.client_id,
        username=settings.username or None,
        password=settings.password.get_secret_value() or None,
        tls=None if tls is None else TlsOptions(tls.ca_file, tls.cert_file, tls.key_file),
        keepalive_s=settings.keepalive_s,
    )


def build_publisher(
    settings: MqttSettings,
    store: RecordStore,
    name: EdgeName,
    *,
    handler: CommandHandler,
    on_dead_letter: Callable[[OutboxRow, str], None],
) -> Publisher:
    if not settings.enabled:
        return SilentPublisher(store)
    release = version("qc-edge")
    return MqttPublisher(
        store,
        name,
        mqtt_options(settings),
        handler=handler,
        on_dead_letter=on_dead_letter,
        version=release,
        discovery=discovery_messages(name, release) if settings.home_assistant else (),
    )

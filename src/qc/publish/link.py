"""How to reach the broker: options, a fresh paho client per connection, and what went wrong in words."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import paho.mqtt.client as mqtt
from cryptography import x509
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from qc.domain.errors import PublishError

MAX_PACKET_BYTES = 1024 * 1024
"""What the edge lets the broker send it; above the command limit, so that an oversized command still gets its refusal."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """ca_file: None trusts the system's authorities. cert_file and key_file: the client's own certificate (mTLS)."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """One broker connection. window: most unacknowledged messages, further bounded by the broker's Receive Maximum.

    settle_s: how long an acknowledged event stays in the outbox, to be repeated when the broker dies meanwhile.
    state_interval_s: least time between two messages on one state topic.
    """

    host: str
    port: int = 1883
    client_id: str = ""
    """Empty: made from the edge's name. Two clients with one id throw each other out."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    transport: Literal["tcp", "websockets"] = "tcp"
    websocket_path: str = "/mqtt"
    tls: TlsOptions | None = None
    keepalive_s: int = 30
    connect_timeout_s: float = 5.0
    ack_timeout_s: float = 20.0
    backoff_min_s: float = 1.0
    backoff_max_s: float = 60.0
    window: int = 50
    settle_s: float = 1.0
    poll_s: float = 1.0
    state_interval_s: float = 1.0
    heartbeat_s: float = 15.0
    max_command_bytes: int = 64 * 1024
    max_waiting_commands: int = 16

    @property
    def server(self) -> str:
        """For people; holds no credentials."""
        scheme = {("tcp", False): "mqtt", ("tcp", True): "mqtts", ("websockets", False): "ws", ("websockets", True): "wss"}
        return f"{scheme[self.transport, self.tls is not None]}://{self.host}:{self.port}"


def make_client(options: MqttOptions, client_id: str, *, reconnect: bool = False) -> mqtt.Client:
    """An unconnected client. Raises PublishError for unusable certificate files.

    The publisher takes a new one per connection, without ``reconnect``: paho's own would send its whole queue at once, past
    the broker's Receive Maximum, and a fresh client reads the certificate files anew, so that a renewed one works at once.
    """
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=mqtt.MQTTv5,
        transport=options.transport,
        reconnect_on_failure=reconnect,
    )
    client.suppress_exceptions = True  # an exception in a callback would end the network thread in silence
    client.max_inflight_messages_set(0)  # the window is ours; paho shall not queue
    client.connect_timeout = options.connect_timeout_s
    if options.transport == "websockets":
        client.ws_set_options(path=options.websocket_path)
    if options.username is not None:
        client.username_pw_set(options.username, options.password)
    if options.tls is not None:
        client.tls_set_context(tls_context(options.tls))
    return client


def begin_connect(client: mqtt.Client, options: MqttOptions) -> None:
    """Clean start: the outbox is the session, not the broker."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # untyped in paho
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    properties.ReceiveMaximum = 50
    client.connect_async(options.host, options.port, keepalive=options.keepalive_s, clean_start=True, properties=properties)
    client.loop_start()


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def tls_context(tls: TlsOptions) -> ssl.SSLContext:
    """Verifies the broker's certificate and host name, always. Raises PublishError naming the file."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except (OSError, ValueError) as error:
        raise PublishError(f"TLS: cannot use the CA file {tls.ca_file}: {error}") from error
    context.sslsocket_class = _TidySocket
    if tls.cert_file is not None:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        except (OSError, ValueError) as error:
            raise PublishError(
                f"TLS: cannot use the client certificate {tls.cert_file} with the key {tls.key_file or tls.cert_file}: {error}"
            ) from error
    return context


def own_certificate_problem(tls: TlsOptions | None) -> str:
    """Why the client's own certificate cannot be good now, or "". A broker only hangs up on it, without saying why."""
    if tls is None or tls.cert_file is None:
        return ""
    try:
        certificate = x509.load_pem_x509_certificate(tls.cert_file.read_bytes())
    except (OSError, ValueError) as error:
        return f"TLS: cannot read the client certificate {tls.cert_file}: {error}"
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        return f"TLS: the client certificate {tls.cert_file} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; renew it"
    if certificate.not_valid_before_utc > now:
        return (
            f"TLS: the client certificate {tls.cert_file} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d} on; "
            "check the clock"
        )
    return ""


def explain_failure(error: BaseException | None, options: MqttOptions) -> str:
    """A sentence about a connection that could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate of {options.server} is not accepted: {error.verify_message or error}"
    if isinstance(error, ssl.SSLError):
        own = own_certificate_problem(options.tls)
        return own or f"TLS: no secure connection to {options.server}: {error}; is it a TLS port?"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {options.server} (connection refused)"
    if isinstance(error, TimeoutError):
        return f"no answer from {options.server} within {options.connect_timeout_s:g} s"
    return f"cannot reach {options.server}: {error or 'unknown reason'}"


def explain_loss(reason: ReasonCode, options: MqttOptions, *, before_connack: bool) -> str:
    """A sentence about a connection that was refused or that broke."""
    hints = {
        0x86: "wrong user name or password",
        0x87: "this client may not connect; check the broker's access rules",
        0x8E: "another client uses the same client id",
        0x95: "a message was larger than the broker accepts",
        0x9A: "the broker does not support retained messages, which status and state need",
        0x9B: "the broker does not support QoS 1, which events need",
    }
    if before_connack:
        if own := own_certificate_problem(options.tls):
            return own
        if not reason.is_failure or reason.value == 0x80:
            return f"{options.server} closed the connection before accepting it; plain against TLS port, or client certificate?"
    verb = "refused the connection" if before_connack else "ended the connection"
    if reason.value == 0x80 and not before_connack:
        return f"the connection to {options.server} broke"
    hint = hints.get(reason.value)
    return f"{options.server} {verb}: {reason.getName()}" + (f" ({hint})" if hint else "")

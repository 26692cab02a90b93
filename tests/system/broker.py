"""A real mosquitto for tests: own process, loopback, free ports that stay the same over kill -9 and restart.

    with Mosquitto(tmp_path) as broker:                     # anonymous, no persistence
        ... broker.port ...
        broker.kill(); broker.start()

    Mosquitto(tmp_path, users={"edge1": "secret"}, acl="user edge1\ntopic write qc/v1/#\n")
    Mosquitto(tmp_path, tls=Pki(tmp_path), require_certificate=True)
    Mosquitto(tmp_path, receive_maximum=5, websockets=True, persistent=True)

    with Listener(broker.port, "qc/v1/#") as ear:           # an independent subscriber with a persistent session
        assert ear.wait_until(lambda: len(ear.events()) == 10)

Tests that need it carry ``@needs_mosquitto`` and the marker ``system``.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def find_mosquitto() -> str | None:
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed (Debian package mosquitto)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Pki:
    """A throw-away certificate authority: ``server``, ``client(name)`` and expired ones, as PEM files below ``folder``."""

    def __init__(self, folder: Path, *, expired_server: bool = False) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "qc test authority")])
        self.ca_file = folder / "ca.crt"
        certificate = (
            self._builder(self._name, self._key.public_key(), expired=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.server_cert, self.server_key = self.issue("localhost", expired=expired_server)

    def issue(self, name: str, *, expired: bool = False) -> tuple[Path, Path]:
        """(certificate, key) files for a common name; valid for localhost and 127.0.0.1 too."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(subject, key.public_key(), expired=expired)
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(authority, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = f"{name}{'-expired' if expired else ''}"
        cert_file, key_file = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return cert_file, key_file

    def _builder(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, *, expired: bool) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now - timedelta(days=1) if expired else now + timedelta(days=30))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


class Mosquitto:
    """One broker process. ``port``: MQTT (TLS when ``tls`` is given); ``websocket_port``: when ``websockets``.

    persistent: sessions and retained messages survive kill -9 as far as mosquitto can (it saves at every change).
    receive_maximum: what the broker grants each client in CONNACK.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: str | None = None,
        tls: Pki | None = None,
        require_certificate: bool = False,
        receive_maximum: int | None = None,
        websockets: bool = False,
        persistent: bool = False,
        extra: str = "",
    ) -> None:
        self.folder = folder / f"mosquitto-{free_port()}"
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.websocket_port = free_port() if websockets else 0
        self._process: subprocess.Popen[bytes] | None = None
        # max_queued_messages 0 ("no limit") makes mosquitto 2.0.11 hang up on every client whose message it denies
        lines = ["log_dest file " + str(self.folder / "mosquitto.log"), "max_queued_messages 1000000"]
        if os.geteuid() == 0:
            lines.append("user root")  # else it would drop to a user who may not read the test's folder
        lines.append(f"allow_anonymous {'false' if users or require_certificate else 'true'}")
        if users:
            lines.append(f"password_file {self._passwords(users)}")
        if acl is not None:
            (self.folder / "acl").write_text(acl)
            lines.append(f"acl_file {self.folder / 'acl'}")
        if receive_maximum is not None:
            lines.append(f"max_inflight_messages {receive_maximum}")
        if persistent:
            lines += [
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_on_changes true",
                "autosave_interval 1",
            ]
        lines.append(extra)
        lines.append(f"listener {self.port} 127.0.0.1")
        if tls is not None:
            lines += [f"cafile {tls.ca_file}", f"certfile {tls.server_cert}", f"keyfile {tls.server_key}"]
            if require_certificate:
                lines += ["require_certificate true", "use_identity_as_username true"]
        if websockets:
            lines += [f"listener {self.websocket_port} 127.0.0.1", "protocol websockets"]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def _passwords(self, users: Mapping[str, str]) -> Path:
        path = self.folder / "passwords"
        path.touch(mode=0o600)
        for user, password in users.items():
            subprocess.run(["mosquitto_passwd", "-b", str(path), user, password], check=True, capture_output=True)
        return path

    def start(self) -> "Mosquitto":
        """Start (again, on the same ports) and return when it accepts connections."""
        program = find_mosquitto()
        assert program is not None, "mosquitto is not installed"
        self._process = subprocess.Popen(
            [program, "-c", str(self.folder / "mosquitto.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up_s = time.monotonic() + 15
        while time.monotonic() < give_up_s:
            if self._process.poll() is not None:
                raise RuntimeError(f"mosquitto ended at once:\n{self.log()}")
            try:
                for port in filter(None, (self.port, self.websocket_port)):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
                continue
            return self
        raise RuntimeError(f"mosquitto does not listen:\n{self.log()}")

    def kill(self) -> None:
        """kill -9: nothing is saved, nobody is told."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly shutdown."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers. ``resume`` thaws it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        path = self.folder / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        if how is not signal.SIGKILL:
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def __enter__(self) -> "Mosquitto":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    retained: bool
    properties: Properties

    def json(self) -> dict:
        return dict(json.loads(self.payload))


class Listener:
    """An independent subscriber (QoS 1). Its session outlives broken connections; it reconnects within a second."""

    def __init__(
        self,
        port: int,
        *topics: str,
        username: str | None = None,
        password: str | None = None,
        persistent: bool = True,
        client_id: str = "",
    ) -> None:
        self.heard: list[Heard] = []
        self._lock = threading.Lock()
        self._port = port
        self._topics: Sequence[str] = topics
        self._subscribed = threading.Event()
        self._persistent = persistent
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id or f"listener-{free_port()}", protocol=mqtt.MQTTv5
        )
        self.client.username_pw_set(username, password)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._on_message

    def _on_connect(self, client: mqtt.Client, _u: object, _f: object, _r: object, _p: object) -> None:
        client.subscribe([(topic, 1) for topic in self._topics])

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            self.heard.append(Heard(message.topic, bytes(message.payload), message.retain, message.properties))

    def events(self) -> list[dict]:
        """Bodies of ``evt/`` messages in order of arrival, repeats (by event_id) dropped."""
        seen: dict[str, dict] = {}
        for item in self.all():
            if "/evt/" in item.topic:
                body = item.json()
                seen.setdefault(body["event_id"], body)
        return list(seen.values())

    def all(self) -> list[Heard]:
        with self._lock:
            return list(self.heard)

    def last(self, leaf: str) -> dict | None:
        """The newest message on a topic that ends with ``leaf``."""
        found = [item for item in self.all() if item.topic.endswith(leaf)]
        return found[-1].json() if found else None

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
        return wait_until(condition, timeout_s)

    def __enter__(self) -> "Listener":
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600 if self._persistent else 0
        self.client.connect("127.0.0.1", self._port, clean_start=not self._persistent, properties=properties)
        self.client.loop_start()
        assert self._subscribed.wait(15), "the listener could not subscribe"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up_s:
            return False
        time.sleep(0.02)
    return True

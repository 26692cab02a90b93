import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from tests.system.broker import Pki

from qc.domain.errors import PublishError
from qc.publish.link import (
    MqttOptions,
    TlsOptions,
    explain_failure,
    explain_loss,
    own_certificate_problem,
    tls_context,
)

OPTIONS = MqttOptions("broker.plant", 1883, username="edge", password="s3cret")


def test_the_password_is_never_shown() -> None:
    assert "s3cret" not in repr(OPTIONS)
    assert OPTIONS.server == "mqtt://broker.plant:1883"
    assert MqttOptions("b", 443, transport="websockets", tls=TlsOptions()).server == "wss://b:443"


def verification_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError(), "nothing listens at mqtt://broker.plant:1883"),
        (TimeoutError(), "no answer from mqtt://broker.plant:1883 within 5 s"),
        (verification_error(), "is not accepted: certificate has expired"),
        (ssl.SSLError(1, "wrong version number"), "is it a TLS port?"),
        (OSError("Name or service not known"), "cannot reach mqtt://broker.plant:1883: Name or service not known"),
        (None, "unknown reason"),
    ],
)
def test_failures_are_said_in_words(error: BaseException | None, says: str) -> None:
    assert says in explain_failure(error, OPTIONS)


@pytest.mark.parametrize(
    ("code", "packet", "says"),
    [
        (0x86, PacketTypes.CONNACK, "wrong user name or password"),
        (0x87, PacketTypes.CONNACK, "access rules"),
        (0x9A, PacketTypes.CONNACK, "retained"),
        (0x8E, PacketTypes.DISCONNECT, "another client uses the same client id"),
        (0x95, PacketTypes.DISCONNECT, "larger than the broker accepts"),
        (0x80, PacketTypes.DISCONNECT, "broke"),
    ],
)
def test_losses_are_said_in_words(code: int, packet: int, says: str) -> None:
    reason = ReasonCode(packet, identifier=code)
    assert says in explain_loss(reason, OPTIONS, before_connack=packet == PacketTypes.CONNACK)


def test_an_early_hang_up_points_at_tls() -> None:
    reason = ReasonCode(PacketTypes.DISCONNECT, identifier=0x80)
    assert "TLS port" in explain_loss(reason, OPTIONS, before_connack=True)


def test_the_own_certificate_is_checked(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    good, _ = pki.issue("edge")
    old, _ = pki.issue("edge", expired=True)
    assert own_certificate_problem(None) == ""
    assert own_certificate_problem(TlsOptions(pki.ca_file, good)) == ""
    problem = own_certificate_problem(TlsOptions(pki.ca_file, old))
    assert "expired on" in problem
    assert str(datetime.now(UTC).year) in problem or "-12-31" in problem
    assert "cannot read" in own_certificate_problem(TlsOptions(pki.ca_file, tmp_path / "none.crt"))


def test_unusable_files_are_named(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    cert, key = pki.issue("edge")
    tls_context(TlsOptions(pki.ca_file, cert, key))
    _, other = pki.issue("other")
    with pytest.raises(PublishError, match=r"edge.crt with the key .*other.key"):
        tls_context(TlsOptions(pki.ca_file, cert, other))
    with pytest.raises(PublishError, match="nowhere"):
        tls_context(TlsOptions(tmp_path / "nowhere.crt"))
    garbage = tmp_path / "garbage.crt"
    garbage.write_text("not a certificate")
    with pytest.raises(PublishError, match="garbage"):
        tls_context(TlsOptions(garbage))

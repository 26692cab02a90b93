"""The systemd unit that ships: valid where systemd can say so, and joined to the watchdog and the secrets as documented."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "qc@.service"


class Unit(configparser.RawConfigParser):
    """A unit file: keys keep their case and may come twice."""

    def __init__(self) -> None:
        super().__init__(strict=False, interpolation=None, comment_prefixes=("#", ";"), delimiters=("=",))
        self.optionxform = str


def service() -> dict[str, str]:
    unit = Unit()
    unit.read_string(UNIT.read_text("utf-8"))
    return dict(unit["Service"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", ["qc@.service", "qc@line1.service"])
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    """The program's path exists only on an installed edge, so a copy names this Python instead."""
    text = UNIT.read_text("utf-8").replace("ExecStart=/opt/qc/.venv/bin/qc", f"ExecStart={sys.executable}")
    assert sys.executable in text
    (tmp_path / name).write_text(text)
    result = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in result.stderr.splitlines() if "qc@" in line and "man page" not in line]
    assert (result.returncode, ours) == (0, [])


def test_readiness_and_progress_are_told_to_systemd() -> None:
    unit = service()
    assert unit["Type"] == "notify"
    assert unit["NotifyAccess"] == "main"
    assert int(unit["WatchdogSec"]) >= 3 * 10  # a healthy line looks at its input every 10 s at the latest
    assert unit["Restart"] == "always"
    assert unit["KillSignal"] == "SIGINT"
    assert int(unit["TimeoutStopSec"]) >= 15  # three stages of 5 s


def test_a_missing_password_does_not_keep_the_unit_from_starting() -> None:
    """systemd ignores a missing credential only when it is named, not given by its path; it knows no prefix for optional."""
    identifier, _, source = service()["LoadCredentialEncrypted"].partition(":")
    assert identifier == "mqtt_password"  # what qc.settings looks for in CREDENTIALS_DIRECTORY
    assert source.startswith("qc-%i")
    assert "/" not in source


def test_the_service_runs_without_rights_of_its_own() -> None:
    unit = service()
    assert unit["DynamicUser"] == unit["NoNewPrivileges"] == unit["ProtectHome"] == "yes"
    assert unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == ""
    assert unit["StateDirectory"] == "qc/%i"

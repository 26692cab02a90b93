"""``qc demo`` as a newcomer and a script run it."""

import contextlib
import fcntl
import importlib.util
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from tests.system.broker import wait_until

DEMO = [sys.executable, "-c", "from qc.cli import main; main()", "demo", "--rate", "20"]

pytestmark = [
    pytest.mark.system,
    pytest.mark.xdist_group("demo"),
    pytest.mark.skipif(
        importlib.util.find_spec("iotcore") is None or importlib.util.find_spec("elpv_dataset") is None,
        reason="the demo extra (iotcore, elpv-dataset) is not installed",
    ),
]


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], timeout_s: float = 90.0) -> tuple[int, dict, str]:
    """(exit code, JSON summary, standard error)."""
    out, err = process.communicate(timeout=timeout_s)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out.splitlines()[-1]), err


def test_a_script_gets_every_part_once_and_a_complete_summary_also_when_the_ports_are_busy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mqtt, socket.create_server(("127.0.0.1", 0)) as http:
        ports = ["--mqtt-port", str(mqtt.getsockname()[1]), "--http-port", str(http.getsockname()[1])]
        code, summary, _ = finish(start("--parts", "40", "--no-ui", *ports, "--directory", str(tmp_path / "kept")))
    assert code == 0, summary
    assert summary["parts"] == summary["received_over_mqtt"] == 40
    assert summary["received_twice"] == summary["outbox_events"] == 0
    assert summary["ok"] + summary["ng"] + summary["review"] + summary["not_inspected"] == 40
    assert set(summary["variants"]) == {"solar-mono", "solar-poly"}
    for row in summary["variants"].values():
        assert row["good"] + row.get("defective", 0) == 20
    assert summary["latency_p50_ms"] <= summary["latency_p99_ms"]
    assert set(summary) >= {"halts", "alarms", "parts_per_s", "acknowledged_events"}
    log = [json.loads(line) for line in (tmp_path / "kept" / "demo.log").read_text().splitlines()]
    assert {"edge_started", "http_listening", "edge_stopped"} <= {entry["event"] for entry in log}
    assert (tmp_path / "kept" / "qc.sqlite3").is_file()


def test_an_interrupt_in_the_middle_ends_cleanly_and_soon(tmp_path: Path) -> None:
    process = start("--parts", "4000", "--no-ui", "--mqtt-port", "0", "--http-port", "0", "--directory", str(tmp_path))
    log = tmp_path / "demo.log"
    assert wait_until(lambda: log.exists() and "edge_started" in log.read_text(), 60)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    since = time.monotonic()
    code, summary, _ = finish(process, 30)
    assert code == 0
    assert 0 < summary["parts"] < 4000
    assert time.monotonic() - since < 15  # 2 s on a quiet machine


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = start("--no-ui", "--directory", str(tmp_path / "file" / "below"))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith(f"qc: --directory {tmp_path / 'file' / 'below'}: ")


@pytest.mark.parametrize(("columns", "rows"), [(80, 24)])
def test_the_live_view_runs_in_a_terminal_and_fits_it(columns: int, rows: int) -> None:
    """Under a pseudo terminal, as a person would see it."""
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)}
    program = [*DEMO, "--parts", "30", "--mqtt-port", "0", "--http-port", "0"]
    with subprocess.Popen(program, stdin=its_end, stdout=its_end, stderr=its_end, env=environ) as process:
        os.close(its_end)
        text = _read_all(terminal)
        assert process.wait(30) == 0, text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "Traceback" not in plain
    assert re.search(r"mosquitto_sub -V 5 -h 127\.0\.0\.1 -p \d+ -v -t 'qc/v1/plant1/solar/line1/edge1/evt/#'\r\n", plain)
    for words in ("● ", "OK", "✖ ", "NG", "solar-mono", "solar-poly", "halt policy", "30 of 30", "30 parts, one verdict each"):
        assert words in plain
    framed = [line for line in plain.replace("\r", "\n").splitlines() if line.startswith("│")]
    assert framed
    assert max(len(line.rstrip()) for line in framed) <= columns


def _read_all(terminal: int, timeout_s: float = 90.0) -> str:
    chunks: list[bytes] = []
    end = time.monotonic() + timeout_s
    with contextlib.suppress(OSError):  # the other end has closed
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.5)[0]:
                chunk = os.read(terminal, 65536)
                if not chunk:
                    break
                chunks.append(chunk)
    os.close(terminal)
    return b"".join(chunks).decode("utf-8", "replace")

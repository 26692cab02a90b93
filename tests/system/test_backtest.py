"""The back-test over processes and a Ray cluster, and as a person runs it: interrupted, continued, asked for nonsense."""

import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.broker import wait_until
from tests.unit.release.test_backtest import PARTS, Recorded, line, recorded

from qc.release.backtest import run_backtest
from qc.release.workers import LocalWorkers, RayWorkers, Workers

__all__ = ["line", "recorded"]  # fixtures

pytestmark = pytest.mark.system

TOOL = Path(__file__).resolve().parents[2] / "tools" / "backtest.py"


def cluster() -> Workers:
    return RayWorkers(cpus=2)


@pytest.mark.parametrize(
    "workers",
    [
        lambda: LocalWorkers(2),
        pytest.param(
            cluster,
            marks=pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'qc-edge[fleet]'"),
        ),
    ],
    ids=["processes", "ray"],
)
def test_several_processes_give_the_same_answers(recorded: Recorded, tmp_path: Path, workers: Callable[[], Workers]) -> None:
    items, job, _ = recorded
    list(run_backtest(items, job, tmp_path / "one", LocalWorkers(1)))
    several = workers()
    try:
        list(run_backtest(items, job, tmp_path / "several", several))
    finally:
        several.close()
    assert (tmp_path / "one").read_text() == (tmp_path / "several").read_text()


def run_tool(line: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, str(TOOL), str(line.parent / "models" / "strict"), "--config", str(line), *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)


def test_the_tool_reports_and_says_what_is_wrong(line: Path, tmp_path: Path) -> None:
    done = run_tool(line, "--results", str(tmp_path / "r.jsonl"), "--processes", "2", "--json")
    assert done.returncode == 0, done.stderr
    (report,) = json.loads(done.stdout)
    assert report["changed"] == {"OK -> REVIEW": 80, "REVIEW -> NG": 40}
    nothing = run_tool(line, "--results", str(tmp_path / "n.jsonl"), "--from", "2030-01-01")
    assert nothing.returncode == 2
    assert "no kept picture among the 0 parts" in nothing.stderr
    wrong = run_tool(line, "--processes", "0")
    assert "a whole number from 1 to 256" in wrong.stderr
    assert "Traceback" not in wrong.stderr + nothing.stderr


def test_ctrl_c_ends_it_without_a_traceback_and_it_goes_on(line: Path, tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    call = [sys.executable, str(TOOL), str(line.parent / "models" / "strict"), "--config", str(line)]
    call += ["--results", str(results), "--processes", "2"]
    tool = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert wait_until(results.exists, 60)
    tool.send_signal(signal.SIGINT)
    out, err = tool.communicate(timeout=60)
    assert "Traceback" not in out + err
    if tool.returncode:  # else it was done before the signal came
        assert tool.returncode == 130
        assert "the same call goes on" in err
    assert run_tool(line, "--results", str(results)).returncode == 0
    assert len(results.read_text().splitlines()) == 1 + PARTS

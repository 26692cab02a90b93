"""The command line: errors for people instead of tracebacks, exit code 2, and nothing heavy behind an import."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.system.broker import free_port
from tests.system.edge_process import write_images, write_settings

import qc.cli
from qc.domain import errors
from qc.domain.errors import CommandError, QcError

QC = [sys.executable, "-c", "from qc.cli import main; main()"]


QC_ERRORS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, QcError)]


@pytest.mark.parametrize("kind", QC_ERRORS, ids=lambda kind: kind.__name__)
def test_no_error_of_ours_shows_a_traceback(
    kind: type[QcError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        raise kind("busy", "come later") if kind is CommandError else kind("come later")

    monkeypatch.setattr(qc.cli, "app", app)
    with pytest.raises(SystemExit) as left:
        qc.cli.main()
    assert left.value.code == 2
    assert capsys.readouterr().err == ("qc: busy: come later\n" if kind is CommandError else "qc: come later\n")


@pytest.mark.parametrize(
    "arguments", [["run"], ["watch"], ["status"], ["replay", "--from-seq", "1"], ["users", "list"]], ids=lambda words: words[0]
)
def test_a_missing_settings_file_is_named(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(tmp_path / "absent.toml")
    words = [*arguments[:2], config] if arguments[0] == "users" else [arguments[0], config, *arguments[1:]]
    monkeypatch.setattr(sys, "argv", ["qc", *words])
    with pytest.raises(SystemExit) as left:
        qc.cli.main()
    assert left.value.code == 2
    assert "absent.toml: no such file" in capsys.readouterr().err


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["qc", "version"])
    with pytest.raises(SystemExit) as left:
        qc.cli.main()
    assert left.value.code == 0
    assert capsys.readouterr().out.strip() == version("qc-edge")


@pytest.mark.parametrize("arguments", [["demo", "--parts", "0"], ["run"], ["replay", "x", "--from-seq", "0"], ["nothing"]])
def test_wrong_arguments_end_with_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["qc", *arguments])
    with pytest.raises(SystemExit) as left:
        qc.cli.main()
    assert left.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


HEAVY = ("torch", "torchvision", "sklearn", "matplotlib")


@pytest.mark.parametrize(
    "modules",
    ["qc.cli", "qc.wiring, qc.commands.run, qc.commands.doctor, qc.commands.demo, qc.commands.watch, qc.console.app"],
    ids=["cli", "edge"],
)
def test_the_edge_is_imported_with_torch_out_of_reach_and_loads_nothing_heavy(modules: str) -> None:
    program = f"""
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "sklearn"):
            raise ImportError(f"{{name}} is out of reach")

sys.meta_path.insert(0, Wall())
import {modules}
print(sorted(name for name in sys.modules if name.split(".")[0] in {HEAVY}))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert result.stderr == ""
    assert result.stdout.strip() == "[]"


def test_doctor_speaks_json_and_its_exit_code_tells_scripts(tmp_path: Path) -> None:
    config = write_settings(tmp_path, free_port(), mqtt="enabled = false", watch=False)
    write_images(tmp_path / "in", 1)
    (tmp_path / "models" / "tiny" / "card.json").write_text("{}")
    result = subprocess.run([*QC, "doctor", str(config), "--json"], capture_output=True, text=True, timeout=100, check=False)
    report = json.loads(result.stdout)
    assert result.returncode == 1
    assert report["config"] == str(config)
    for finding in report["findings"]:
        assert set(finding) == {"check", "grade", "message", "remedy"}
        assert finding["grade"] in {"ok", "warning", "failed"}
    assert [finding["check"] for finding in report["findings"] if finding["grade"] == "failed"] == ["model tiny"]


def test_a_run_that_cannot_start_ends_at_once_with_2_and_one_line(tmp_path: Path) -> None:
    config = write_settings(tmp_path, free_port())
    (tmp_path / "models" / "tiny" / "model.onnx").write_bytes(b"")
    result = subprocess.run([*QC, "run", str(config)], capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("qc: recipes.active: ")
    assert "Traceback" not in result.stderr

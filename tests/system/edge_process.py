"""A real edge for system tests: settings, images and a tiny model in a folder; as a process of its own or in this one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from qc.inspection.tiny import write_tiny_bundle

LINE = """
[edge]
site = "s"
area = "a"
line = "l"
edge = "e"

[[cameras]]
id = "cam1"
source = {{ kind = "folder", path = "in", watch = {watch}, settle_s = 0.05 }}
trigger = {{ kind = "each_frame" }}

[models]
directory = "models"

[recipes]
directory = "recipes"
active = "cell"

[storage]
directory = "var"
min_free_mb = 1
ok_share = 0.01

[mqtt]
port = {mqtt_port}
{mqtt}

[http]
port = 0

[sampling]
enabled = {sampling}
"""

RECIPE = """
variant = "{variant}"
model = "tiny"
review_at = 0.6
reject_at = 0.8
deadline_ms = 60000
[halt]
run_rejects = 30
run_parts = 30
baseline_reject_rate = 0.5
[sampling]
labels_per_window = 5000
expected_parts_per_window = 5000
"""


def write_settings(folder: Path, mqtt_port: int, *, mqtt: str = "", watch: bool = True, sampling: bool = False) -> Path:
    """``folder/line.toml`` with a model that scores brightness, two variants and an empty image folder ``in``."""
    for name in ("in", "recipes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "models").exists():
        write_tiny_bundle(folder / "models", "tiny")
    for variant in ("cell", "other"):
        (folder / "recipes" / f"{variant}.toml").write_text(RECIPE.format(variant=variant))
    path = folder / "line.toml"
    flags = {"watch": str(watch).lower(), "sampling": str(sampling).lower()}
    path.write_text(LINE.format(mqtt_port=mqtt_port, mqtt=mqtt, **flags))
    return path


def write_images(folder: Path, count: int, first: int = 0) -> list[str]:
    """Numbered textured grey pictures, dark to bright in turn; returns their part ids."""
    rng = np.random.default_rng(first)
    names = []
    for number in range(first, first + count):
        pixels = np.clip(rng.normal(60 + 37 * (number % 5), 6, (32, 32, 3)), 0, 255).astype(np.uint8)
        name = f"part-{number:06d}"
        temporary = folder / f".{name}.png"
        cv2.imwrite(str(temporary), pixels)
        temporary.rename(folder / f"{name}.png")
        names.append(name)
    return names


MAIN = "from qc.cli import main; main()"


class EdgeProcess:
    """``qc run`` in a process of its own; its log goes to ``folder/edge.log``."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, dies_at: str = "") -> "EdgeProcess":
        """dies_at: a place of ``kill_point``, armed by the file ``folder/armed``."""
        log = (self.config.parent / "edge.log").open("ab")
        entry = (
            [str(Path(__file__).with_name("kill_point.py")), dies_at, str(self.config.parent / "armed")]
            if dies_at
            else ["-c", MAIN]
        )
        program = [sys.executable, *entry, "run", str(self.config)]
        self._process = subprocess.Popen(
            program, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        log.close()
        return self

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self, timeout_s: float = 20.0) -> int:
        """An orderly end; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout_s)

    def __del__(self) -> None:
        if self.running():
            self.kill()

    def died(self, timeout_s: float) -> bool:
        """Whether it was killed within that time."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            return False

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return (self.config.parent / "edge.log").read_text(errors="replace")

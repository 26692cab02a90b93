"""Resident memory over many parts, start to first verdict, and installed size of the edge without torch."""

import argparse
import importlib.metadata
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import cv2
import psutil

from benchmarks.rig import ROOT, Rig, cells
from qc.commands.logs import set_up_logs
from qc.inspection.tiny import write_tiny_bundle


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.py memory", description=__doc__)
    parser.add_argument("--parts", type=int, default=200_000, help="parts for the slope")
    parser.add_argument(
        "--model", choices=["solar-mono-1", "tiny"], default="solar-mono-1", help="tiny: a model that costs nothing"
    )
    options = parser.parse_args(arguments)
    set_up_logs("error", "text")
    _installed_size()
    _first_verdict()
    with tempfile.TemporaryDirectory() as folder:
        models = ROOT / "models"
        if options.model == "tiny":
            write_tiny_bundle(Path(folder), "tiny")
            models = Path(folder)
        _slope(options.parts, models, options.model)
    return 0


def _slope(parts: int, models: Path, model: str) -> None:
    process = psutil.Process()
    print(f"resident memory with {model}:")
    with Rig(cells(), models, model) as rig:
        step = max(1000, parts // 20)
        samples: list[tuple[int, float]] = []
        for done in range(step, parts + 1, step):
            rig.seconds_for(step)
            del rig.watch.total_ms[:], rig.watch.inference_ms[:]
            samples.append((done, process.memory_info().rss / 1e6))
            print(f"  {done:8d} parts {samples[-1][1]:8.1f} MB", flush=True)
    settled = samples[len(samples) // 4 :]
    slope = (settled[-1][1] - settled[0][1]) / max(1, settled[-1][0] - settled[0][0]) * 100_000
    print(f"slope after the first quarter: {slope:+.2f} MB per 100,000 parts")


def _first_verdict() -> None:
    """``qc run`` as a process: from its start to the first durable record."""
    times = []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "in").mkdir()
            cv2.imwrite(str(folder / "in" / "a.png"), cells(1)[0])
            text = (ROOT / "configs" / "line.toml").read_text("utf-8")
            text = text.replace("../var/incoming", "in").replace("../var/edge1", "var").replace("port = 8080", "port = 0")
            text = text.replace("../models", str(ROOT / "models")).replace('"recipes"', f'"{ROOT / "configs" / "recipes"}"')
            (folder / "line.toml").write_text(text, "utf-8")
            program = [sys.executable, "-c", "from qc.cli import main; main()", "run", str(folder / "line.toml")]
            started = time.perf_counter()
            process = subprocess.Popen(program, stderr=subprocess.DEVNULL)
            while not _has_record(folder / "var" / "qc.sqlite3"):
                time.sleep(0.01)
            times.append(time.perf_counter() - started)
            process.terminate()
            process.wait()
    print(f"start to first verdict: {sorted(times)[2]:.2f} s (median of 5; min {min(times):.2f})")


def _has_record(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return bool(database.execute("SELECT count(*) FROM inspections").fetchone()[0])
    except sqlite3.Error:
        return False


def _installed_size() -> None:
    """Bytes of every distribution that ``pip install qc-edge`` without extras brings."""
    wanted, sizes = ["qc-edge"], dict[str, float]()
    while wanted:
        name = wanted.pop()
        if name in sizes:
            continue
        distribution = importlib.metadata.distribution(name)
        files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
        sizes[name] = sum(file.stat().st_size for file in files if file.exists()) / 1e6
        for requirement in distribution.requires or []:
            if "extra ==" in requirement:
                continue
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            try:
                importlib.metadata.distribution(match.group() if match else "")
            except importlib.metadata.PackageNotFoundError:
                continue  # for another platform
            wanted.append(match.group().lower() if match else "")
    top = ", ".join(f"{name} {size:.0f}" for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:8])
    print(f"installed without extras: {sum(sizes.values()):.0f} MB in {len(sizes)} packages ({top})")

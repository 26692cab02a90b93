#!/usr/bin/env python3
"""Check a data set before training: tools/check_dataset.py DATASET [--json F] [--html F] [--production FOLDER].

Exit code: 0 no errors, 1 the set has errors, 2 it cannot be read at all.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from qc.domain.errors import QcError
from qc.training.checks import CheckReport, check_dataset, default_embedding
from qc.training.checks.page import write_page
from qc.training.checks.privacy import packaged_face_finder
from qc.training.dataset import read_dataset

STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def main() -> int:
    arguments = _arguments()
    console = Console(stderr=True)
    try:
        report = _check(arguments, console)
        if arguments.json:
            arguments.json.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        if arguments.html:
            write_page(report, arguments.html)
    except (QcError, OSError) as error:
        console.print(f"[bold red]error[/] {error}", highlight=False)
        return 2
    _show(report, Console())
    return 1 if report.errors else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Find what would spoil a model before training it.")
    parser.add_argument("dataset", type=Path, help="manifest.csv, its folder, or MVTec-style / good + defect folders")
    parser.add_argument("--json", type=Path, metavar="F", help="write the findings as JSON")
    parser.add_argument("--html", type=Path, metavar="F", help="write a page with pictures")
    parser.add_argument("--production", type=Path, metavar="FOLDER", help="pictures from the line, to compare with")
    parser.add_argument("--features", choices=["deep", "classical"], default="deep", help="for label suspects and coverage")
    parser.add_argument("--faces", action="store_true", help="look for faces (needs scikit-image)")
    return parser.parse_args()


def _check(arguments: argparse.Namespace, console: Console) -> CheckReport:
    faces = packaged_face_finder() if arguments.faces else None
    if arguments.faces and faces is None:
        console.print("[yellow]no face detector is installed (pip install scikit-image): faces are not looked for[/]")
    dataset = read_dataset(arguments.dataset, allow_missing=True)
    embed = default_embedding() if arguments.features == "deep" else None
    with Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("reading", total=len(dataset))
        return check_dataset(
            dataset,
            production=arguments.production,
            embed=embed,
            faces=faces,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _show(report: CheckReport, console: Console) -> None:
    for found in report.findings:
        console.print(
            Text.assemble((f"{found.severity:<8} ", STYLES[found.severity]), f"{found.code}: {found.message}"), soft_wrap=True
        )
        more = [f"... {found.count - 3} more"] if found.count > 3 else []
        for line in (*(f"{item.file}  {item.note}" for item in found.items[:3]), *more, found.remedy):
            console.print(f"         {line}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(report.errors)} errors, {len(report.warnings)} warnings in {len(report.dataset)} pictures")


if __name__ == "__main__":
    sys.exit(main())

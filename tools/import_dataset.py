#!/usr/bin/env python3
"""Copy pictures into a clean data set: tools/import_dataset.py SRC OUT [--add OTHER] [--split].

Metadata (EXIF: place, time, owner) is removed, rotations are applied, boxes become masks; --add merges a second set
and leaves out what the first has already; --split fills empty splits by group. Exit code 1: some pictures were unusable.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from qc.domain.errors import QcError
from qc.training.dataset import Dataset, read_dataset, write_manifest
from qc.training.importing import Imported, import_dataset, merge_datasets
from qc.training.manifest import MANIFEST_NAME
from qc.training.scan import scan_dataset
from qc.training.splits import part_groups, split_dataset


def main() -> int:
    parser = argparse.ArgumentParser(description="Copy pictures into a clean manifest data set.")
    parser.add_argument("source", type=Path, help="manifest.csv, its folder, or MVTec-style / good + defect folders")
    parser.add_argument("out", type=Path, help="new folder")
    parser.add_argument("--add", type=Path, metavar="OTHER", help="merge this set into it, without copies")
    parser.add_argument("--split", action="store_true", help="fill empty splits by group, stratified")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    console = Console(stderr=True)
    try:
        imported = _import(arguments, console)
        if arguments.split:
            _split(imported.dataset, arguments.seed, console)
    except QcError as error:
        console.print(f"[bold red]error[/] {error}", highlight=False)
        return 2
    for file, reason in imported.left_out:
        console.print(f"left out {file}: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{len(imported.dataset)} pictures in {imported.dataset.root}; left out: {len(imported.copies)} copies, "
        f"{len(imported.left_out)} unusable",
        soft_wrap=True,
    )
    return 1 if imported.left_out else 0


def _import(arguments: argparse.Namespace, console: Console) -> Imported:
    source = read_dataset(arguments.source)
    with Progress(console=console) as bar:
        task = bar.add_task("importing", total=len(source))

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if arguments.add:
            return merge_datasets(source, read_dataset(arguments.add), arguments.out, progress=progress)
        return import_dataset(source, arguments.out, progress=progress)


def _split(dataset: Dataset, seed: int, console: Console) -> None:
    split = split_dataset(dataset, seed=seed, groups=part_groups(dataset, scan_dataset(dataset).copies()))
    write_manifest(split.dataset, dataset.root / MANIFEST_NAME)
    for note in split.notes:
        console.print(note)


if __name__ == "__main__":
    sys.exit(main())

"""Train a model from a folder of images: checks, training, calibration, export, evaluation, bundle; one command.

Example: tools/train.py shared/cubes --out models/cubes-1
Several processes: torchrun --nproc-per-node 2 tools/train.py shared/cubes --out models/cubes-1
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from qc.domain.errors import QcError
from qc.training import distributed
from qc.training.console import show_card, silent_progress, terminal_progress
from qc.training.pipeline import train
from qc.training.recipe import load_recipe


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="manifest.csv, MVTec-style folder, or good/ and defect/ folders")
    parser.add_argument("--out", type=Path, required=True, help="models/NAME: the new bundle; NAME becomes its model_id")
    parser.add_argument("--variant", nargs="+", default=[], help="only these product variants")
    parser.add_argument("--parent", type=Path, help="the bundle that this one takes over from, knowing more variants")
    parser.add_argument("--recipe", type=Path, help="configs/training/x.toml; without it the defaults")
    parser.add_argument(
        "--cache", type=Path, help="folder of backbone features, shared by several trainings on the same pictures"
    )
    parser.add_argument("--seed", type=int, help="overrides the recipe's seed")
    a = parser.parse_args(argv)
    distributed.start()
    first = distributed.rank() == 0
    try:
        recipe = load_recipe(a.recipe, seed=a.seed)
        progress = terminal_progress() if first else silent_progress
        card = train(a.dataset, a.out, recipe, progress, variants=tuple(a.variant), parent=a.parent, cache=a.cache)
    except QcError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    finally:
        distributed.stop()
    if first:
        show_card(card, a.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

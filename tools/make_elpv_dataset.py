"""Lay out the PyPI package elpv-dataset (solar cells, CC BY-NC-SA 4.0) as a data set: links to its pictures and a manifest."""

import argparse
from pathlib import Path

from qc.training.elpv import write_elpv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--variant", choices=("mono", "poly", "both"), default="mono")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-share", type=float, default=0.25)
    parser.add_argument("--clear-only", action="store_true", help="leave out cells that the experts were unsure about")
    a = parser.parse_args()
    dataset = write_elpv(a.out, variant=a.variant, seed=a.seed, test_share=a.test_share, clear_only=a.clear_only)
    print(f"{a.out}: {len(dataset)} cells")


if __name__ == "__main__":
    main()

"""Simulate the promotion gate: how often does a candidate that is truly worse, equal or better pass? Prints the tables of docs/release.md."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from simulations.gate import robustness_table, table

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    print(table(a.runs, a.seed))
    print(robustness_table(max(a.runs // 20, 50), a.seed))

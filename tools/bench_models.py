"""Train and judge every row of the table in docs/models.md and print it as Markdown.

Results are kept one by one in --results; run it again to go on. Example: tools/bench_models.py --data ../shared/data --seeds 0 1 2
"""

import argparse
import json
import sys
from pathlib import Path

from qc.domain.errors import QcError
from qc.training.benchmark import branch_table, rows, run_row, table
from qc.training.console import terminal_progress
from qc.training.quick_benchmark import run_quick
from qc.training.recipe import load_recipe


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets of the rows")
    parser.add_argument("--results", type=Path, default=Path("build/models"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", nargs="+", default=[], help="only rows whose name begins so")
    parser.add_argument("--recipe", type=Path, help="instead of the defaults")
    parser.add_argument("--quick", action="store_true", help="only the quick branches on cached features: seconds per row")
    parser.add_argument("--print", action="store_true", help="only print what is there")
    a = parser.parse_args()
    chosen = [row for row in rows() if not a.rows or row.name.startswith(tuple(a.rows))]
    for row, seed in ((row, seed) for row in chosen for seed in a.seeds):
        if a.print or not (a.data / row.source).exists():
            continue
        try:
            run = run_quick if a.quick else run_row
            run(row, load_recipe(a.recipe, seed=seed), a.data, a.results, terminal_progress())
        except QcError as error:
            print(f"{row.name}, seed {seed}: {error}", file=sys.stderr)
    order = {name: number for number, row in enumerate(rows()) for name in (row.name, f"{row.name} (quick)")}
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(a.results.glob("*.json"))]
    results.sort(key=lambda r: (order.get(r["row"], 999), r["seed"]))
    print(table(results) + "\n" + branch_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())

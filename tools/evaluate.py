"""Judge a model bundle on labelled pictures, through the line's own inspector.

Example: tools/evaluate.py models/cubes-1 shared/cubes --split test --json cubes.json --html cubes.html
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from qc.domain.errors import QcError
from qc.training.console import show_report, terminal_progress
from qc.training.judging import evaluate_bundle


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a bundle: models/NAME")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="test", help="train, val, test or all (default: test)")
    parser.add_argument("--variant", nargs="+", default=[], help="only these product variants")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    parser.add_argument("--html", type=Path, help="write a page with curves and the worst errors here")
    a = parser.parse_args(argv)
    try:
        report = evaluate_bundle(
            a.model, a.dataset, a.split, variants=tuple(a.variant), html=a.html, progress=terminal_progress()
        )
        if a.json:
            a.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except (QcError, OSError, MemoryError) as error:
        print(f"evaluate.py: {error or 'out of memory: close other programs'}", file=sys.stderr)
        return 1
    show_report(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

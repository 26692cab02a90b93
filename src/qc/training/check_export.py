"""``python -m qc.training.check_export FOLDER``: the data checks as a process of their own, so that the CLI never loads torch."""

# ruff: noqa: T201  # a command: it talks to a person

import json
import sys
from pathlib import Path

from qc.domain.errors import QcError
from qc.training.checks import check_dataset
from qc.training.checks.findings import sentence
from qc.training.dataset import read_dataset


def main(folder: Path) -> int:
    """Print errors and warnings, write ``checks.json``; exit code 1 when there are errors, 2 when the set cannot be read."""
    try:
        report = check_dataset(read_dataset(folder))
    except QcError as error:
        print(f"qc: {error}", file=sys.stderr)
        return 2
    for found in (*report.errors, *report.warnings):
        print(f"{found.severity.value}: {sentence(found)}")
    print(f"data checks: {len(report.errors)} errors, {len(report.warnings)} warnings; all findings in {folder / 'checks.json'}")
    (folder / "checks.json").write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

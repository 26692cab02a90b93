"""Judge archived parts again with any bundle: which verdicts would change, and the rates.

Interrupt it at any time: the next call with the same --results goes on. Example:
tools/backtest.py models/solar-2 --config configs/line.toml --from 2026-11-01 --to 2026-11-08 --results solar-2.jsonl --processes 2
Exit code 0 done, 2 an error, 130 interrupted.
"""

import argparse
import json
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

from qc.commands.logs import set_up_logs
from qc.domain.errors import QcError
from qc.inspection.bundle import load_card
from qc.record.archive_policy import ArchivePolicy
from qc.record.part_search import PartQuery
from qc.release.backtest import Job, history, read_results, run_backtest
from qc.release.backtest_report import summary
from qc.release.workers import LocalWorkers, RayWorkers
from qc.settings import load_line, load_recipes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a bundle: models/NAME")
    parser.add_argument("--config", type=Path, required=True, help="the line whose records are judged again")
    parser.add_argument(
        "--from", dest="since", type=_moment, help="decided from here on, local time: 2026-11-01 or 2026-11-01T06:00"
    )
    parser.add_argument("--to", dest="until", type=_moment, help="decided before")
    parser.add_argument("--variant", default=None, help="only parts of this product variant")
    parser.add_argument("--results", type=Path, default=Path("backtest.jsonl"), help="a line per part; continued when it exists")
    parser.add_argument(
        "--processes",
        type=_count,
        default=1,
        metavar="N",
        help="on this machine; with --ray: CPUs of a local cluster",
    )
    parser.add_argument("--ray", nargs="?", const="", default=None, metavar="ADDRESS", help="on a Ray cluster (fleet extra)")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    a = parser.parse_args()
    set_up_logs("warning", "text")
    try:
        return backtest(a)
    except QcError as error:
        print(f"\nbacktest.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nbacktest.py: interrupted; the same call goes on with what {a.results} holds", file=sys.stderr)
        return 130


def backtest(a: argparse.Namespace) -> int:
    settings, card = load_line(a.config), load_card(a.model / "card.json")
    database, images = settings.storage.directory / "qc.sqlite3", settings.storage.directory / "images"
    job = Job(a.model.resolve(), card, database, images, load_recipes(settings.recipes.directory))
    policy = ArchivePolicy(ok_share=settings.storage.ok_share)
    items, recorded = history(database, policy, PartQuery(a.since, a.until, variant=a.variant))
    workers = LocalWorkers(a.processes) if a.ray is None else RayWorkers(a.ray, cpus=a.processes)
    with closing(workers):
        for done, total in run_backtest(items, job, a.results, workers):
            print(f"\r{done}/{total} parts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    reports = summary(read_results(a.results, job), items, recorded)
    if a.json:
        print(json.dumps([report.as_json() for report in reports], indent=1))
    else:
        print("\n".join(report.as_text(card.model_id) for report in reports))
    return 0


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1 to 256")
    return int(text)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write 2026-11-01 or 2026-11-01T06:00") from None


if __name__ == "__main__":
    sys.exit(main())

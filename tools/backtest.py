"""Judge archived parts again with any bundle: which verdicts would change, and the rates.

Interrupt it at any time: the next call with the same --results goes on. Example:
tools/backtest.py models/solar-2 --config configs/line.toml --from 2026-11-01 --to 2026-11-08 --results solar-2.jsonl --processes 2
"""

import argparse
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

from qc.domain.errors import QcError
from qc.inspection.bundle import load_card
from qc.record.database import Database
from qc.record.part_search import PartQuery, PartSearch
from qc.release.backtest import Item, Job, item_of, read_results, run_backtest, summary
from qc.release.workers import LocalWorkers, RayWorkers
from qc.settings import load_line, load_recipes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a bundle: models/NAME")
    parser.add_argument("--config", type=Path, required=True, help="the line whose records are judged again")
    parser.add_argument("--from", dest="since", type=datetime.fromisoformat, help="decided from here on, local time")
    parser.add_argument("--to", dest="until", type=datetime.fromisoformat, help="decided before")
    parser.add_argument("--variant", default=None)
    parser.add_argument("--results", type=Path, default=Path("backtest.jsonl"), help="a line per part; continued when it exists")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--ray", nargs="?", const="", default=None, metavar="ADDRESS", help="on a Ray cluster (fleet extra)")
    try:
        return backtest(parser.parse_args())
    except QcError as error:
        print(f"backtest.py: {error}", file=sys.stderr)
        return 2


def backtest(a: argparse.Namespace) -> int:
    settings, card = load_line(a.config), load_card(a.model / "card.json")
    database = settings.storage.directory / "qc.sqlite3"
    job = Job(
        bundle=a.model.resolve(),
        database=database,
        images=settings.storage.directory / "images",
        review_at=card.review_at,
        reject_at=card.reject_at,
        recipes=load_recipes(settings.recipes.directory),
    )
    items = list(recorded(database, a))
    workers = LocalWorkers(a.processes) if a.ray is None else RayWorkers(a.ray, cpus=a.processes)
    for done, total in run_backtest(items, job, a.results, workers):
        print(f"\r{done}/{total} parts", end="", file=sys.stderr)
    report = summary(read_results(a.results), items)
    print(f"\n{report.parts} parts, {report.unreadable} without a readable picture, {report.same} verdicts unchanged")
    for (before, after), count in report.changed.items():
        print(f"{before} -> {after}: {count}")
    print(f"rejected or reviewed: {report.rejected_before:.2%} before, {report.rejected_after:.2%} with {card.model_id}")
    return 0


def recorded(database: Path, a: argparse.Namespace) -> "list[Item]":
    since, until = (moment.astimezone() if moment else None for moment in (a.since, a.until))
    items: list[Item] = []
    with closing(Database(database)) as opened:
        search, last = PartSearch(opened), None
        while page := search.find(PartQuery(since, until, variant=a.variant, before_seq=last, limit=1000)):
            items += [item_of(found.record) for found in page if found.record.image_ref is not None]
            last = page[-1].record.seq
    return items


if __name__ == "__main__":
    sys.exit(main())

"""bench.py monitoring: the twelve claims of docs/monitoring.md, simulated. Prints the table, or writes it into the page."""

import argparse
import os
import sys
import time
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from simulations.claims import Row, jobs

START, END = "<!-- bench monitoring: begin -->", "<!-- bench monitoring: end -->"


def _do(job):
    began = time.perf_counter()
    rows = job()
    return rows, time.perf_counter() - began


def run(scale: float, processes: int, say=print) -> list[Row]:
    """All jobs, in their order; rows of one point may come from several jobs."""
    rows: list[Row] = []
    all_jobs = jobs(scale)
    with get_context("spawn").Pool(processes) as pool:
        for i, (found, seconds) in enumerate(pool.imap(_do, all_jobs), 1):
            rows += found
            missed = [row for row in found if row.met is False]
            say(f"{i}/{len(all_jobs)}  {seconds:6.1f} s  {found[0].what}" + "".join(f"\n    MISSED {r}" for r in missed))
    return sorted(rows, key=lambda row: int(row.point) if row.point.isdigit() else 99)


def summary(rows: list[Row]) -> list[Row]:
    """The mean lines of point 1, which need all cells."""
    result = []
    for name, wanted in (("DR", 95.0), ("FPR", 94.5)):
        cells = [float(r.measured.split()[0]) for r in rows if r.point == "1" and r.what.startswith(f"{name} coverage")]
        mean = sum(cells) / len(cells)
        result.append(
            Row("1", f"{name} coverage, mean of {len(cells)} cells", f">= {wanted:g} %", f"{mean:.2f} %", mean >= wanted)
        )
    return result


def table(rows: list[Row]) -> str:
    lines = ["| point | what | required | measured | |", "|---|---|---|---|---|"]
    mark = {True: "met", False: "**missed**", None: ""}
    return "\n".join([*lines, *(f"| {r.point} | {r.what} | {r.required} | {r.measured} | {mark[r.met]} |" for r in rows)])


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.py monitoring", description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the replications; 1 takes about half an hour on two cores"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", type=Path, help="page whose table between the bench marks is replaced")
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    rows = run(args.scale, args.processes, say=lambda text: print(text, file=sys.stderr, flush=True))
    rows = summary(rows) + rows
    text = table(rows)
    print(text)
    if args.write:
        before, rest = args.write.read_text(encoding="utf-8").split(START)
        after = rest.split(END)[1]
        args.write.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")
    missed = sum(row.met is False for row in rows)
    print(f"{len(rows)} lines, {missed} missed", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

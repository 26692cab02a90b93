"""What one period was like: by the plant's book (the truth), and by ``qc report`` (what the product says about it)."""

import contextlib
import io
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from qc.commands.report import report
from qc.domain.record import Json
from stories.book import Book
from stories.home import Home

RATES = ("detection_rate", "false_positive_rate", "review_rate")


def period(
    home: Home, book: Book, since: datetime, until: datetime, *, compare: tuple[datetime, datetime] | None, html: Path | None
) -> dict[str, object]:
    """since <= t < until."""
    file = home.folder / "report.json"
    with contextlib.redirect_stdout(io.StringIO()):
        report(
            home.line_toml,
            since=since.isoformat(),
            until=until.isoformat(),
            compare="" if compare is None else "..".join(moment.isoformat() for moment in compare),
            html=html,
            json_file=file,
            goals=None,
        )
    now = json.loads(file.read_text("utf-8"))["now"]
    rates = {name: now["rates"][name] for name in RATES}
    rates |= {"production_efficiency": now["efficiency"]["rate"], "monthly_cost": now["cost"]["total"] if now["cost"] else None}
    estimated = {name: None if r is None else [r["estimate"], r["low"], r["high"]] for name, r in rates.items()}
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "truth": truth(book, since, until),
        "estimated": estimated,
        "halts": now["halt_summary"],
        "labels": now["labels"],
    }


def truth(book: Book, since: datetime, until: datetime) -> dict[str, float | int | None]:
    """Rejected: NG or REVIEW by score, as everywhere. ``decided``: of the parts that were not sent to review by score."""
    judged = [j for j in book.judged if since <= j.at < until]
    bad = [j for j in judged if book.shown[j.part_id].defective]
    good = [j for j in judged if not book.shown[j.part_id].defective]

    def share(of: list[object], yes: object) -> float | None:
        return sum(map(yes, of)) / len(of) if of else None

    decided_bad = [j for j in bad if not j.review_at <= j.score < j.reject_at]
    decided_good = [j for j in good if not j.review_at <= j.score < j.reject_at]
    halts = [halt for halt in book.halts if since <= halt.at < until]
    return {
        "parts": len(judged),
        "defects": len(bad),
        "detection_rate": share(bad, lambda j: j.score >= j.review_at),
        "false_positive_rate": share(good, lambda j: j.score >= j.review_at),
        "review_share": share(judged, lambda j: j.review_at <= j.score < j.reject_at),
        "decided_detection_rate": share(decided_bad, lambda j: j.score >= j.reject_at),
        "decided_false_positive_rate": share(decided_good, lambda j: j.score >= j.reject_at),
        "halts": len(halts),
        "needless_halts": sum(halt.needless for halt in halts),
    }


def sentence(found: Mapping[str, Json]) -> str:
    true, said = found["truth"], found["estimated"]
    return (
        f"DR {_percent(true['detection_rate'])} (estimated {_span(said['detection_rate'])}), "
        f"FPR {_percent(true['false_positive_rate'])} ({_span(said['false_positive_rate'])}), "
        f"review {_percent(true['review_share'])}, decided DR {_percent(true['decided_detection_rate'])} "
        f"FPR {_percent(true['decided_false_positive_rate'])}, halts {true['halts']} ({true['needless_halts']} needless), "
        f"efficiency {_span(said['production_efficiency'])}, alarms {found.get('alarms')}"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _span(value: list[float] | None) -> str:
    return "-" if value is None or value[0] is None else f"{100 * value[0]:.1f} % [{100 * value[1]:.1f}, {100 * value[2]:.1f}]"

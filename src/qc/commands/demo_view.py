"""What the demo shows in the terminal."""

from pathlib import Path
from typing import Any, Protocol

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qc.commands.layout import MAX_WIDTH, Fact, facts, one_line, panel
from qc.commands.verdict_style import SIGNS, level_words, verdict_counts
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision
from qc.publish.topics import EdgeName, Topics
from qc.settings import LineSettings
from qc.wiring import Edge


class Seen(Protocol):
    """What the view needs of the audience."""

    last: list[InspectionRecord]

    def parts(self) -> int: ...


def opening_words(settings: LineSettings, name: EdgeName, password: str) -> RenderableType:
    """How to follow along; printed above the live view, so that it can be copied from there.

    password: of the console's user ``demo``; made anew for each run.
    """
    mqtt, http = settings.mqtt, settings.http
    return Group(
        Text("Follow along in another terminal and in a browser:"),
        Text(f"  mosquitto_sub -V 5 -h {mqtt.host} -p {mqtt.port} -v -t '{Topics(name).root}/evt/#'", "bold"),
        Text(f"  http://{http.host}:{http.port}/  and  http://{http.host}:{http.port}/metrics", "bold"),
        Text(f"  to label, acknowledge and change over there, log in as demo with the password {password}"),
    )


class DemoView:
    """Builds one picture of the running line."""

    def __init__(self, edge: Edge, seen: Seen, parts: int) -> None:
        self._edge, self._seen, self._parts = edge, seen, parts

    def render(self, width: int) -> RenderableType:
        """width: columns of the terminal."""
        alarms = [Text(f"! {alarm.quantity}: {alarm.message}", "red") for alarm in self._edge.alarms.open_alarms()[-3:]]
        return panel("qc demo", facts(self._facts()), Text(), self._strip(width), *self._last(), *alarms, width=width)

    def _facts(self) -> list[Fact]:
        status, publisher = self._edge.line.status(), self._edge.publisher.status()
        waiting = publisher.depth.rows if publisher.depth else 0
        counts = {
            Decision.OK: status.ok,
            Decision.NG: status.ng,
            Decision.REVIEW: status.review,
            Decision.NOT_INSPECTED: status.not_inspected,
        }
        return [
            ("parts", f"{self._seen.parts()} of {self._parts}"),
            ("verdicts", verdict_counts(counts)),
            ("variant", Text.assemble((status.variant, "bold"), f" judged by {status.model_id}")),
            (
                "speed",
                f"{status.parts_per_s:.1f} parts/s, latency p50 {status.latency_p50_ms:.0f} ms, p99 {status.latency_p99_ms:.0f} ms",
            ),
            (
                "MQTT",
                f"{'connected' if publisher.connected else publisher.last_error or 'connecting'}, "
                f"{publisher.acked} events delivered, {waiting} in the outbox",
            ),
            (
                "halt policy",
                Text.assemble(level_words(status.level.value, status.level_reason), f" (halts asked: {status.halts})"),
            ),
        ]

    def _strip(self, width: int) -> Text:
        """One sign per part, newest at the right."""
        room = max(1, (min(width, MAX_WIDTH) - 4) // 2)
        signs = [Text(*SIGNS[record.verdict.decision]) for record in self._seen.last[-room:]]
        return Text(" ", no_wrap=True).join(signs)

    def _last(self) -> list[Text]:
        lines = []
        for record in self._seen.last[-3:]:
            sign, colour = SIGNS[record.verdict.decision]
            words = f"{sign} {record.part_id:22} {record.verdict.decision.value:13} {record.verdict.detail}"
            lines.append(one_line(words, colour))
        return lines


def closing_words(summary: dict[str, Any], *, interrupted: bool, directory: Path | None) -> RenderableType:
    """What was seen, in words and numbers."""
    table = Table(title="What the line said about cells whose truth the data set knows", title_justify="left")
    for column in ("variant", "OK", "NG", "REVIEW", "not inspected", "defective caught", "good rejected"):
        table.add_column(column, justify="right" if column != "variant" else "left")
    for variant, row in summary["variants"].items():
        cells = [
            str(row.get(decision.value, 0)) for decision in (Decision.OK, Decision.NG, Decision.REVIEW, Decision.NOT_INSPECTED)
        ]
        caught = f"{row.get('defective_caught', 0)} of {row.get('defective', 0)}"
        rejected = f"{row.get('good_rejected', 0)} of {row.get('good', 0)}"
        table.add_row(variant, *cells, caught, rejected)
    words = [
        f"{summary['parts']} parts, one verdict each; {summary['received_over_mqtt']} received over MQTT, "
        f"{summary['received_twice']} of them twice; {summary['outbox_events']} events left in the outbox.",
        f"{summary['parts_per_s']} parts/s, latency p50 {summary['latency_p50_ms']} ms, p99 {summary['latency_p99_ms']} ms, "
        f"halts asked: {summary['halts']}.",
        "The model was trained on monocrystalline cells only. What you saw after the changeover is a model that meets a new "
        "variant: it rejects good cells, and the halt policy says so. docs/training.md shows the way back.",
    ]
    if interrupted:
        words.insert(0, "Interrupted.")
    if directory is not None:
        words.append(f"Records and images: {directory}")
    return Group(table, *(Text(line) for line in words))

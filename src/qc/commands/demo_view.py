"""What the demo shows in the terminal."""

from pathlib import Path
from typing import Any, Protocol

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from qc.commands.verdict_style import SIGNS
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision
from qc.publish.topics import Topics
from qc.settings import LineSettings
from qc.wiring import Edge


class Seen(Protocol):
    """What the view needs of the audience."""

    last: list[InspectionRecord]

    def parts(self) -> int: ...


class DemoView:
    """Builds one picture of the running line."""

    def __init__(self, edge: Edge, seen: Seen, settings: LineSettings, parts: int) -> None:
        self._edge, self._seen, self._parts = edge, seen, parts
        mqtt, http = settings.mqtt, settings.http
        self._follow = f"mosquitto_sub -V 5 -h {mqtt.host} -p {mqtt.port} -v -t '{Topics(edge.name).root}/evt/#'"
        self._health = f"curl http://{http.host}:{http.port}/metrics"

    def render(self) -> RenderableType:
        status, publisher = self._edge.line.status(), self._edge.publisher.status()
        depth = publisher.depth
        grid = Table.grid(padding=(0, 3))
        grid.add_row("parts", f"[b]{self._seen.parts()}[/b] of {self._parts}", "verdicts", self._counts())
        grid.add_row("variant", f"[b]{status.variant}[/b]", "model", status.model_id)
        grid.add_row(
            "speed",
            f"{status.parts_per_s:.1f} parts/s",
            "latency",
            f"p50 {status.latency_p50_ms:.0f} ms, p99 {status.latency_p99_ms:.0f} ms",
        )
        grid.add_row(
            "MQTT",
            "connected" if publisher.connected else publisher.last_error or "connecting",
            "outbox",
            f"{depth.rows if depth else 0} events",
        )
        grid.add_row("halt policy", f"{status.level.value} {status.level_reason}", "halts asked", str(status.halts))
        alarms = [f"[red]![/red] {alarm.quantity}: {alarm.message}" for alarm in self._edge.alarms.open_alarms()[-3:]]
        body = Group(grid, Text(), self._strip(), *self._last(), *(Text.from_markup(line) for line in alarms))
        return Panel(body, title="qc demo", subtitle=f"follow along: {self._follow}\n{self._health}", width=118)

    def _counts(self) -> Text:
        status = self._edge.line.status()
        text = Text()
        for decision, count in (
            (Decision.OK, status.ok),
            (Decision.NG, status.ng),
            (Decision.REVIEW, status.review),
            (Decision.NOT_INSPECTED, status.not_inspected),
        ):
            sign, colour = SIGNS[decision]
            text.append(f"{sign} {decision.value} {count}  ", colour)
        return text

    def _strip(self) -> Text:
        return Text(" ").join(Text(*SIGNS[record.verdict.decision]) for record in self._seen.last)

    def _last(self) -> list[Text]:
        lines = []
        for record in self._seen.last[-3:]:
            sign, colour = SIGNS[record.verdict.decision]
            lines.append(Text(f"{sign} {record.part_id:28} {record.verdict.decision.value:13} {record.verdict.detail}", colour))
        return lines


def closing_words(summary: dict[str, Any], *, interrupted: bool, directory: Path | None) -> RenderableType:
    """What was seen, in words and numbers."""
    table = Table(title="What the line said about cells whose truth the data set knows")
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
        f"{summary['halts']} halts asked.",
        "The model was trained on monocrystalline cells only. What you saw after the changeover is a model that meets a new "
        "variant: it rejects good cells, and the halt policy says so. docs/training.md shows the way back.",
    ]
    if interrupted:
        words.insert(0, "Interrupted.")
    if directory is not None:
        words.append(f"Records and images: {directory}")
    return Group(table, *(Text(line) for line in words))

"""``qc watch``: edges live in the terminal, over MQTT."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from qc.commands.edge_state import EdgeState
from qc.commands.run import stop_on_signals
from qc.commands.target import target
from qc.commands.verdict_style import SIGNS
from qc.domain.record import Json
from qc.domain.verdict import Decision
from qc.publish.client import EdgeWatcher

_COLOURS = {"online": "green", "stale": "yellow", "offline": "red", "unknown": "magenta"}


def watch(config: Path, edge: str, *, all_edges: bool) -> int:
    """Until interrupted. Raises PublishError when the broker cannot be reached at the start; later it reconnects by itself."""
    options, name = target(config, edge)
    states: dict[str, EdgeState] = {} if all_edges else {str(name): EdgeState()}
    stop = stop_on_signals()
    with EdgeWatcher(options, None if all_edges else name) as watcher, Live(console=Console(), refresh_per_second=4) as live:
        while not stop.is_set():
            message = watcher.next(0.25)
            while message is not None:
                states.setdefault(str(message.edge), EdgeState()).take(message)
                message = watcher.next(0.0)
            panels = [edge_panel(title, state, compact=all_edges) for title, state in sorted(states.items())]
            cut_off = [Text(f"cut off from the broker: {watcher.error}", "red")] if watcher.error else []
            live.update(Group(*cut_off, *panels))
    return 0


def edge_panel(name: str, state: EdgeState, *, compact: bool) -> RenderableType:
    """One edge: condition, counters, alarms and (not compact) its last verdicts."""
    condition = state.condition()
    counters, recipe, line = (state.states.get(key, {}) for key in ("counters", "recipe", "line"))
    grid = Table.grid(padding=(0, 3))
    grid.add_row(
        "state", f"{line.get('state', '?')}, halt policy {line.get('level', '?')}", "variant", str(recipe.get("variant", "?"))
    )
    parts = "  ".join(f"{key} {counters.get(key, '?')}" for key in ("triggers", "ok", "ng", "review", "not_inspected", "halts"))
    grid.add_row("parts", parts, "speed", f"{counters.get('parts_per_s', '?')} parts/s")
    latency = f"p50 {counters.get('latency_p50_ms', '?')} ms, p99 {counters.get('latency_p99_ms', '?')} ms"
    grid.add_row("latency", latency, "outbox", f"{counters.get('outbox_rows', '?')} events")
    verdicts = [] if compact else [_verdict(body) for body in state.verdicts]
    return Panel(Group(grid, *_alarms(state), *verdicts), title=f"{name} [{_COLOURS[condition]}]{condition}[/]", width=118)


def _alarms(state: EdgeState) -> list[Text]:
    alarms = state.states.get("alarms", {}).get("alarms", [])
    if not isinstance(alarms, list):
        return []
    return [
        Text(f"! {alarm.get('quantity')} {alarm.get('slice')} ({alarm.get('state')}): {alarm.get('message')}", "red")
        for alarm in alarms
        if isinstance(alarm, dict)
    ]


def _verdict(body: Mapping[str, Json]) -> Text:
    try:
        sign, colour = SIGNS[Decision(str(body.get("verdict")))]
    except ValueError:
        return Text(f"unreadable verdict {body.get('verdict')!r}", "magenta")
    return Text(f"{sign} {body.get('part_id')!s:40} {body.get('verdict')!s:13} {body.get('detail')}", colour)

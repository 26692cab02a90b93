"""``qc watch``: edges live in the terminal, over MQTT."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from qc.commands.edge_state import EdgeState
from qc.commands.layout import MAX_WIDTH, facts, one_line, panel
from qc.commands.release_words import release_lines
from qc.commands.run import stop_on_signals
from qc.commands.target import target
from qc.commands.verdict_style import SIGNS, level_words, verdict_counts
from qc.domain.record import Json
from qc.domain.verdict import Decision
from qc.publish.client import EdgeWatcher

_COLOURS = {"online": "green", "stale": "yellow", "offline": "red", "unknown": "magenta"}


def watch(config: Path, edge: str, *, all_edges: bool) -> int:
    """Until interrupted. Raises PublishError when the broker cannot be reached at the start; later it reconnects by itself."""
    options, name = target(config, edge)
    states: dict[str, EdgeState] = {} if all_edges else {str(name): EdgeState()}
    stop = stop_on_signals()
    console = Console()
    with EdgeWatcher(options, None if all_edges else name) as watcher, Live(console=console, refresh_per_second=4) as live:
        while not stop.is_set():
            message = watcher.next(0.25)
            while message is not None:
                states.setdefault(str(message.edge), EdgeState()).take(message)
                message = watcher.next(0.0)
            panels = [edge_panel(title, state, compact=all_edges, width=console.width) for title, state in sorted(states.items())]
            cut_off = [Text(f"cut off from the broker: {watcher.error}", "red")] if watcher.error else []
            live.update(Group(*cut_off, *panels))
    return 0


def edge_panel(name: str, state: EdgeState, *, compact: bool, width: int = MAX_WIDTH) -> RenderableType:
    """One edge: condition, counters, alarms and (not compact) its last verdicts. width: columns of the terminal."""
    condition = state.condition()
    counters, recipe, line = (state.states.get(key, {}) for key in ("counters", "recipe", "line"))
    counts = {decision: counters.get(decision.value.lower(), "?") for decision in Decision}
    latency = f"latency p50 {counters.get('latency_p50_ms', '?')} ms, p99 {counters.get('latency_p99_ms', '?')} ms"
    table = facts(
        [
            ("state", f"{line.get('state', '?')}, variant {recipe.get('variant', '?')} judged by {recipe.get('model', '?')}"),
            ("parts", Text.assemble(f"{counters.get('triggers', '?')}:  ", verdict_counts(counts))),
            ("speed", f"{counters.get('parts_per_s', '?')} parts/s, {latency}"),
            ("outbox", f"{counters.get('outbox_rows', '?')} events, {counters.get('dead_letters', '?')} dead letters"),
            ("halt policy", level_words(str(line.get("level", "?")), str(line.get("detail", "")))),
        ]
    )
    verdicts = [] if compact else [_verdict(body) for body in state.verdicts]
    title = Text.assemble(f"{name} ", (condition, _COLOURS[condition]))
    releases = [Text(words, colour) for words, colour in release_lines(state.states.get("release", {}))]
    return panel(title, table, *releases, *_alarms(state), *verdicts, width=width)


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
    return one_line(f"{sign} {body.get('part_id')!s:22} {body.get('verdict')!s:13} {body.get('detail')}", colour)

"""``qc status``: what an edge says of itself, once."""

import json
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from qc.commands.edge_state import EdgeState
from qc.commands.release_words import release_lines
from qc.commands.target import target
from qc.publish.client import EdgeWatcher

_PATIENCE_S = 2.0
"""Retained values come at once; later ones belong to the next look."""


def status(config: Path, edge: str, *, as_json: bool) -> int:
    """Exit code 0 when the edge is online, 1 when it is offline, stale or unknown to the broker. Raises PublishError."""
    options, name = target(config, edge)
    state = EdgeState()
    with EdgeWatcher(options, name) as watcher:
        end = time.monotonic() + _PATIENCE_S
        while (left_s := end - time.monotonic()) > 0:
            message = watcher.next(left_s)
            if message is not None:
                state.take(message)
    condition = state.condition()
    if as_json:
        print(json.dumps({"edge": str(name), "condition": condition, "status": state.status, "states": state.states}))
    else:
        table = Table(title=f"{name}: {condition}", show_header=False)
        for topic, body in sorted(state.states.items()):
            for key, value in body.items():
                if key not in ("schema", "ts", "releases"):
                    table.add_row(topic, key, str(value))
        for words, _ in release_lines(state.states.get("release", {})):
            table.add_row("release", "", words)
        Console().print(table)
    return 0 if condition == "online" else 1

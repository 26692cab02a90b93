"""How the terminal views set out facts: readable from 80 columns on, nothing cut off, never wider than a sheet."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

MAX_WIDTH = 118

Fact = tuple[str, str | Text]
"""A label and what there is to say."""


def facts(rows: Sequence[Fact]) -> Table:
    """One fact per line; long ones wrap beside their label."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(label, value if isinstance(value, Text) else Text(value))
    return grid


def panel(title: str | Text, *parts: RenderableType, width: int) -> Panel:
    """A framed view as wide as the terminal allows."""
    return Panel(Group(*parts), title=title, width=min(width, MAX_WIDTH))


def one_line(text: str, style: str = "") -> Text:
    """Cut off with an ellipsis where the terminal ends, so that a list keeps one line per item."""
    return Text(text, style, no_wrap=True, overflow="ellipsis")

"""How a terminal shows verdicts and the levels of the halt policy."""

from collections.abc import Mapping
from typing import Final

from rich.text import Text

from qc.domain.alarm import Action
from qc.domain.verdict import Decision

SIGNS: Final = {
    Decision.OK: ("●", "green"),
    Decision.NG: ("✖", "red"),
    Decision.REVIEW: ("▲", "yellow"),
    Decision.NOT_INSPECTED: ("?", "magenta"),
}
"""Shape and colour, so that it can be read without colours."""

LEVEL_COLOURS: Final = {
    Action.NONE: "green",
    Action.ADVISE: "yellow",
    Action.RAISE_SAMPLING: "yellow",
    Action.REVIEW_ALL: "red",
    Action.HALT: "red",
}


def verdict_counts(counts: Mapping[Decision, object]) -> Text:
    """``● 12 OK  ✖ 3 NG ...`` on one line."""
    text = Text()
    for decision, (sign, colour) in SIGNS.items():
        text.append(f"{sign} {counts.get(decision, '?')} {decision.value}  ", colour)
    return text


def level_words(level: str, reason: str = "") -> Text:
    """A level of the halt policy and why."""
    words = {Action.NONE.value: "calm", Action.HALT.value: "asks for a HALT"}.get(level, level.replace("_", " "))
    colour = LEVEL_COLOURS[Action(level)] if level in list(Action) else "magenta"
    return Text.assemble((words, colour), f": {reason}" if reason else "")

"""How a terminal shows a verdict."""

from typing import Final

from qc.domain.verdict import Decision

SIGNS: Final = {
    Decision.OK: ("●", "green"),
    Decision.NG: ("✖", "red"),
    Decision.REVIEW: ("▲", "yellow"),
    Decision.NOT_INSPECTED: ("?", "magenta"),
}
"""Shape and colour, so that it can be read without colours."""

"""The line: frame -> inspection -> verdict -> record -> signal and publish. Only this package knows the order."""

from qc.line.loop import Line
from qc.line.ports import LinePorts
from qc.line.setup import Setup
from qc.line.status import LineStatus

__all__ = ["Line", "LinePorts", "LineStatus", "Setup"]

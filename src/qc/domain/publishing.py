"""How the way out to the broker is doing."""

from dataclasses import dataclass
from datetime import datetime

from qc.domain.record import OutboxDepth


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """One look at the publisher, cheap enough to take every second.

    since: when the connection last came up or went down; None before the first attempt ended. last_error: a sentence
    for people, empty while connected without trouble. in_flight: messages sent and not yet acknowledged. acked:
    acknowledgements of events since the start, repeats included. dead: events refused by the broker since the start. depth: None when the store cannot tell.
    """

    connected: bool
    server: str
    since: datetime | None = None
    last_error: str = ""
    in_flight: int = 0
    acked: int = 0
    dead: int = 0
    connects: int = 0
    refused_states: int = 0
    """Status, state and response messages that the broker refused (access rules) or that could not be sent."""
    commands: int = 0
    commands_refused: int = 0
    depth: OutboxDepth | None = None

"""``qc replay``: have an edge publish delivered events again."""

from datetime import datetime
from pathlib import Path

from qc.commands.target import target
from qc.domain.errors import ConfigError
from qc.domain.record import Json
from qc.publish.client import CommandClient


def replay(config: Path, edge: str, *, from_seq: int | None, since: str) -> int:
    """Prints how many events were queued again. Raises ConfigError, PublishError, CommandError."""
    if (from_seq is None) == (since == ""):
        raise ConfigError("say either --from-seq or --since")
    options, name = target(config, edge)
    body: dict[str, Json] = {"since": _with_zone(since)} if since else {"from_seq": from_seq}
    with CommandClient(options, name) as client:
        result = client.send("replay", body, timeout_s=30.0)
    print(f"{result['queued']} events of {name} are published again; consumers drop repeats by event_id")
    return 0


def _with_zone(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--since {text!r}: write a time such as 2026-11-24T06:00:00+01:00") from None
    return moment.astimezone().isoformat()

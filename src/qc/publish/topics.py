"""The one table of topics: ``qc/v1/{site}/{area}/{line}/{edge}/...`` (ISA-95 order), published only at leaf topics."""

import re
from dataclasses import dataclass, fields
from typing import Final

from qc.domain.errors import ConfigError
from qc.domain.record import EventKind

ROOT: Final = "qc/v1"
LEVEL: Final = re.compile(r"[a-z0-9_-]{1,64}")


def check_level(what: str, name: str) -> str:
    """Returns ``name`` when it can be one level of a topic; raises ConfigError otherwise."""
    if not LEVEL.fullmatch(name):
        raise ConfigError(f"{what} = {name!r}: a topic level has 1 to 64 characters out of a-z, 0-9, '_' and '-'")
    return name


@dataclass(frozen=True, slots=True)
class EdgeName:
    """Where an edge stands: the four levels between the root and the leaf topics. Raises ConfigError for a bad name."""

    site: str
    area: str
    line: str
    edge: str

    def __post_init__(self) -> None:
        for part in fields(self):
            check_level(part.name, getattr(self, part.name))

    def __str__(self) -> str:
        return f"{self.site}/{self.area}/{self.line}/{self.edge}"

    @classmethod
    def parse(cls, text: str) -> "EdgeName":
        """From ``site/area/line/edge``, as people type it."""
        levels = text.strip("/").removeprefix(ROOT + "/").split("/")
        if len(levels) != 4:
            raise ConfigError(f"edge {text!r}: write site/area/line/edge")
        return cls(*levels)


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one edge."""

    name: EdgeName

    @property
    def root(self) -> str:
        return f"{ROOT}/{self.name}"

    @property
    def status(self) -> str:
        """Birth, heartbeat and will; retained."""
        return f"{self.root}/status"

    def state(self, name: str) -> str:
        """Retained telemetry; ``payloads.STATE_PAYLOADS`` lists the names."""
        return f"{self.root}/state/{name}"

    def event(self, kind: EventKind) -> str:
        return f"{self.root}/evt/{kind.value}"

    def command(self, name: str) -> str:
        return f"{self.root}/cmd/{name}"

    @property
    def commands(self) -> str:
        """The filter that the edge subscribes to."""
        return f"{self.root}/cmd/+"

    def reply(self, client: str) -> str:
        """Where a client lets its responses come; below the edge's own root, so that the edge's access rule covers it."""
        return f"{self.root}/reply/{client}"

    def thumb(self, camera: str) -> str:
        """A small JPEG of the last part of one camera (optional)."""
        return f"{self.root}/image/{camera}/thumb"

    def may_respond_to(self, topic: str) -> bool:
        """A ResponseTopic must not let a stranger write events, states or commands through this edge."""
        own = tuple(f"{self.root}/{leaf}" for leaf in ("status", "state/", "evt/", "cmd/", "image/"))
        if not topic or len(topic.encode()) > 1024 or any(c in topic for c in "+#\0") or topic.startswith("$"):
            return False
        return not topic.startswith(own) and "/cmd/" not in topic


def split_topic(topic: str) -> tuple[EdgeName, str] | None:
    """(edge, leaf) of a topic below the root, e.g. leaf ``evt/inspection``; None for a foreign topic."""
    levels = topic.split("/")
    if len(levels) < 7 or "/".join(levels[:2]) != ROOT:
        return None
    try:
        return EdgeName(*levels[2:6]), "/".join(levels[6:])
    except ConfigError:
        return None

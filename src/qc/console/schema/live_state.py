"""What the line says of itself right now."""

from typing import Literal

from pydantic import AwareDatetime

from qc.console.schema.base import Answer
from qc.domain.alarm import Action


class CameraAnswer(Answer):
    camera: str
    state: str
    paused: bool
    triggers: int
    frames: int
    faults: int
    dropped: int
    missed_triggers: int
    reconnects: int
    last_error: str


class MqttAnswer(Answer):
    connected: bool
    server: str
    last_error: str
    waiting: int
    waiting_bytes: int
    oldest_age_s: float
    acked: int
    dead: int


class StatusAnswer(Answer):
    """What the edge is doing now; sent once a second on the live stream. healthy: the line moves and records."""

    at: AwareDatetime
    state: Literal["running", "paused", "stopped", "stuck", "not_storing"]
    healthy: bool
    variant: str
    recipe_version: str
    model: str
    review_at: float
    reject_at: float
    level: Action
    level_reason: str
    triggers: int
    ok: int
    ng: int
    review: int
    not_inspected: int
    halts: int
    parts_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    latency_max_ms: float
    queued: int
    cameras: list[CameraAnswer]
    mqtt: MqttAnswer
    images_written: int
    images_dropped: int
    open_alarms: int
    worst_action: Action
    tickets_open: int
    viewers: int

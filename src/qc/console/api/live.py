"""The line's state for the live page."""

from collections.abc import Callable
from typing import Literal

from qc.console.endpoint import Call, Endpoint
from qc.console.schema.live_state import CameraAnswer, MqttAnswer, StatusAnswer
from qc.domain.alarm import Action
from qc.domain.ports import Clock
from qc.line import LineStatus
from qc.wiring import Edge

State = Literal["running", "paused", "stopped", "stuck", "not_storing"]


class LiveApi:
    """tickets_open: how many tickets wait for labels; asked at most once a second."""

    def __init__(self, edge: Edge, clock: Clock, tickets_open: Callable[[], int], viewers: Callable[[], int]) -> None:
        self._edge, self._clock = edge, clock
        self._tickets_open, self._viewers = tickets_open, viewers

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint("GET", "/api/v1/status", self._status, StatusAnswer, "What the line is doing now", tag="live")]

    def _status(self, _call: Call) -> StatusAnswer:
        return self.status(self._viewers())

    def status(self, viewers: int) -> StatusAnswer:
        edge = self._edge
        status, recipe = edge.line.status(), edge.line.setup.recipe
        archive, alarms = edge.archive.status(), edge.alarms.open_alarms()
        actions = list(Action)
        return StatusAnswer(
            at=self._clock.now(),
            state=_state(status, edge.line.healthy()),
            healthy=edge.line.healthy() and status.running,
            variant=status.variant,
            recipe_version=status.recipe_version,
            model=status.model_id,
            review_at=recipe.review_at,
            reject_at=recipe.reject_at,
            level=status.level,
            level_reason=status.level_reason,
            triggers=status.triggers,
            ok=status.ok,
            ng=status.ng,
            review=status.review,
            not_inspected=status.not_inspected,
            halts=status.halts,
            parts_per_s=round(status.parts_per_s, 3),
            latency_p50_ms=round(status.latency_p50_ms, 2),
            latency_p99_ms=round(status.latency_p99_ms, 2),
            latency_max_ms=round(status.latency_max_ms, 2),
            queued=status.queued,
            cameras=self._cameras(),
            mqtt=self._mqtt(),
            images_written=archive.written,
            images_dropped=archive.dropped_queue + archive.dropped_disk,
            open_alarms=len(alarms),
            worst_action=max((alarm.action for alarm in alarms), key=actions.index, default=Action.NONE),
            tickets_open=self._tickets_open(),
            viewers=viewers,
        )

    def _cameras(self) -> list[CameraAnswer]:
        return [
            CameraAnswer(
                camera=camera.camera_id,
                state=camera.source.state.value,
                paused=camera.paused,
                triggers=camera.triggers,
                frames=camera.source.frames,
                faults=camera.faults,
                dropped=camera.source.dropped,
                missed_triggers=camera.missed_triggers,
                reconnects=camera.source.reconnects,
                last_error=camera.source.last_error,
            )
            for camera in (each.status() for each in self._edge.cameras)
        ]

    def _mqtt(self) -> MqttAnswer:
        status = self._edge.publisher.status()
        depth = status.depth
        return MqttAnswer(
            connected=status.connected,
            server=status.server,
            last_error=status.last_error,
            waiting=depth.rows if depth else 0,
            waiting_bytes=depth.bytes if depth else 0,
            oldest_age_s=round(depth.oldest_age_s, 1) if depth else 0.0,
            acked=status.acked,
            dead=depth.dead if depth else status.dead,
        )


def _state(status: LineStatus, healthy: bool) -> State:
    if not status.running:
        return "stopped"
    if not status.storing:
        return "not_storing"
    if not healthy:
        return "stuck"
    return "paused" if status.paused else "running"

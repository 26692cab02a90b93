"""The edge's slow heartbeat: retained telemetry, upkeep of the store, and nothing that the line waits for."""

import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from qc.domain.alarm import Alarm
from qc.domain.errors import PublishError, QcError
from qc.domain.frame import CameraState, CameraStatus
from qc.domain.ports import Publisher
from qc.domain.record import Json
from qc.line import Line
from qc.line.release_state import phase_of

log = structlog.get_logger(__name__)

_INTERVAL_S = 1.0
_UPKEEP_EVERY = 60


class Telemetry:
    """Publishes ``state/...`` once a second (the publisher sends only what changed or is due) and runs the upkeep."""

    def __init__(
        self,
        line: Line,
        publisher: Publisher,
        *,
        cameras: Callable[[], Sequence[CameraStatus]],
        alarms: Callable[[], Sequence[Alarm]],
        variants: Sequence[str],
        releases: Callable[[], Sequence[Mapping[str, Json]]],
        images_dropped: Callable[[], int],
        upkeep: Sequence[Callable[[], object]],
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._line, self._publisher = line, publisher
        self._cameras, self._alarms, self._variants = cameras, alarms, list(variants)
        self._releases, self._images_dropped, self._upkeep = releases, images_dropped, upkeep
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="qc-telemetry", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Publishes once more, so that the last counters are those of the last part."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        try:
            self.publish()
        except QcError as error:  # closed a second time: the store is gone
            log.warning("last_state_not_published", error=str(error))

    def publish(self) -> None:
        """Hand the current state to the publisher."""
        for name, body in self._states().items():
            try:
                self._publisher.state(name, body)
            except PublishError as error:
                log.error("state_not_published", state=name, error=str(error))

    def _run(self) -> None:
        rounds = 0
        while not self._stop.wait(self._interval_s):
            rounds += 1
            for work in (self.publish, *(self._upkeep if rounds % _UPKEEP_EVERY == 0 else ())):
                try:
                    work()
                except QcError as error:
                    log.error("upkeep_failed", error=str(error))
                except Exception:  # telemetry and the other works go on whatever one of them met
                    log.exception("telemetry_failed")

    def _states(self) -> dict[str, Mapping[str, Json]]:
        status, setup = self._line.status(), self._line.setup
        recipe, card = setup.recipe, setup.inspector.card
        depth = self._publisher.status().depth
        cameras = list(self._cameras())
        alarms = list(self._alarms())
        releases = self._releases()
        phase, candidate = phase_of(releases, recipe.variant)
        state = "paused" if status.paused else "running" if status.running else "stopped"
        return {
            "line": {"state": state, "detail": status.level_reason, "level": status.level.value},
            "recipe": {
                "variant": recipe.variant,
                "recipe_version": recipe.version,
                "model": recipe.model_id,
                "review_at": recipe.review_at,
                "reject_at": recipe.reject_at,
                "deadline_ms": recipe.deadline_ms,
                "variants": list[Json](self._variants),
            },
            "model": {"model": card.model_id, "model_sha256": card.sha256, "phase": phase, "candidate": candidate},
            "release": {"releases": [dict(release) for release in releases]},
            "counters": {
                "triggers": status.triggers,
                "ok": status.ok,
                "ng": status.ng,
                "review": status.review,
                "not_inspected": status.not_inspected,
                "halts": status.halts,
                "frames_dropped": sum(camera.source.dropped for camera in cameras),
                "images_dropped": self._images_dropped(),
                "parts_per_s": round(status.parts_per_s, 3),
                "latency_p50_ms": round(status.latency_p50_ms, 3),
                "latency_p99_ms": round(status.latency_p99_ms, 3),
                "latency_max_ms": round(status.latency_max_ms, 3),
                "outbox_rows": depth.rows if depth else 0,
                "outbox_oldest_s": round(depth.oldest_age_s, 1) if depth else 0.0,
                "dead_letters": depth.dead if depth else 0,
            },
            "camera": {"cameras": [_camera(camera) for camera in cameras]},
            "alarms": {"open": len(alarms), "alarms": [_alarm(alarm) for alarm in alarms[:50]]},
        }


def _camera(camera: CameraStatus) -> Json:
    return {
        "camera": camera.camera_id,
        "connected": camera.source.state in (CameraState.CONNECTED, CameraState.ENDED),
        "fault": camera.source.last_error or None,
        "frames": camera.source.frames,
        "dropped": camera.source.dropped,
    }


def _alarm(alarm: Alarm) -> Json:
    return {
        "alarm_id": alarm.alarm_id,
        "quantity": alarm.quantity,
        "slice": alarm.slice,
        "state": alarm.state.value,
        "cause": alarm.cause.value,
        "action": alarm.action.value,
        "message": alarm.message,
    }

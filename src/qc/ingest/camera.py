"""A frame source joined with its trigger and health checks: every trigger becomes exactly one shot."""

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

import uuid_utils

from qc.domain.clock import SystemClock
from qc.domain.errors import BadImage, CameraLost, CommandError, ConfigError, EndOfStream
from qc.domain.frame import CameraFault, CameraStatus, Frame, Shot
from qc.domain.ports import Clock, FrameSource
from qc.ingest.health import FrameHealth
from qc.ingest.trigger import EachFrame, FreeRun, OnCommand, Trigger


@dataclass(slots=True)
class _Asked:
    """A trigger that waits for its frame. error: why none came so far."""

    part_id: str | None
    at_ns: int
    at: datetime
    until_ns: int
    error: str = ""


class TriggeredCamera:
    """The Camera port. One thread calls ``next_shot``; everything else may be called from any thread."""

    def __init__(
        self,
        source: FrameSource,
        trigger: Trigger,
        *,
        health: FrameHealth | None = None,
        part_id_prefix: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Parts that the source cannot name are called ``<part_id_prefix>-<uuid7>``; default prefix: the camera id.

        Raises ConfigError for EachFrame on a live source: it drops frames, and each would be a part without a verdict.
        """
        if isinstance(trigger, EachFrame) and not source.lossless:
            raise ConfigError(
                f"camera {source.camera_id}: the trigger 'each frame' needs a source that keeps every picture"
                " (folder, video); use free run or command with a live camera"
            )
        if isinstance(trigger, FreeRun) and trigger.rate_hz <= 0:
            raise ConfigError(f"camera {source.camera_id}: the free-run rate must be above 0 Hz, not {trigger.rate_hz:g}")
        self.camera_id = source.camera_id
        self.lossless = source.lossless
        self._source = source
        self._trigger = trigger
        self._health = health or FrameHealth()
        self._prefix = part_id_prefix or source.camera_id
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._asked: deque[_Asked] = deque()
        self._next_tick_ns: int | None = None
        self._fresh_from_ns = 0
        self._paused = self._closed = self._ended = False
        self._triggers = self._faults = self._missed = self._discarded = 0
        self._dropped_since = 0
        self._held: Frame | BadImage | None = None

    def start(self) -> None:
        self._source.start()

    def next_shot(self, timeout_s: float) -> Shot | None:
        end = time.monotonic() + timeout_s
        if isinstance(self._trigger, EachFrame):
            return self._next_picture(end)
        asked = self._next_asked(end)
        return None if asked is None else self._serve(asked, end)

    def trigger(self, part_id: str | None = None) -> str:
        """Codes: ``not_supported`` (the camera triggers itself), ``paused``, ``closed``, ``busy`` (too many waiting)."""
        if not isinstance(self._trigger, OnCommand):
            raise CommandError("not_supported", f"camera {self.camera_id} triggers itself; set its trigger to command")
        with self._changed:
            if self._closed:
                raise CommandError("closed", f"camera {self.camera_id} is closed")
            if self._paused:
                raise CommandError("paused", f"camera {self.camera_id} is paused; resume it first")
            if len(self._asked) >= self._trigger.max_waiting:
                raise CommandError("busy", f"camera {self.camera_id}: {len(self._asked)} triggers already wait for their frame")
            asked = self._ask(part_id or self._new_part_id(), self._trigger.patience_ns)
            self._changed.notify_all()
        assert asked.part_id is not None
        return asked.part_id

    def pause(self) -> None:
        with self._changed:
            self._paused = True
            self._changed.notify_all()

    def resume(self) -> None:
        with self._changed:
            if self._paused:
                self._paused = False
                self._next_tick_ns = None
                self._fresh_from_ns = self._clock.monotonic_ns()
                self._changed.notify_all()

    def status(self) -> CameraStatus:
        with self._changed:
            return CameraStatus(
                camera_id=self.camera_id,
                source=self._source.status(),
                paused=self._paused,
                triggers=self._triggers,
                faults=self._faults,
                missed_triggers=self._missed,
                discarded=self._discarded,
            )

    def close(self) -> None:
        """Triggers that still wait get their shot (a fault) from ``next_shot``, then it raises EndOfStream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._source.close()

    # Every picture is a part

    def _next_picture(self, end: float) -> Shot | None:
        with self._changed:
            self._changed.wait_for(lambda: not self._paused or self._closed, max(0.0, end - time.monotonic()))
            if self._closed:
                self._held = None  # it has no record, so a watched folder gives it again after the restart
            elif self._paused:
                return None
        picture = self._held or self._read_picture(end)
        with self._changed:
            self._held = picture if self._paused else None  # it came during the pause: its turn is after it
            if picture is None or self._paused:
                return None
        if isinstance(picture, BadImage):
            return self._bad_shot(self._now_asked(picture.part_id), picture)
        return self._shot(self._now_asked(picture.part_id, picture), picture)

    def _read_picture(self, end: float) -> Frame | BadImage | None:
        try:
            return self._source.read(max(0.0, end - time.monotonic()))
        except CameraLost:
            return None  # no picture, no part; the status tells that the source is lost
        except BadImage as error:
            return error

    def _now_asked(self, part_id: str | None, frame: Frame | None = None) -> _Asked:
        now_ns, now = (frame.captured_ns, frame.captured_at) if frame else (self._clock.monotonic_ns(), self._clock.now())
        with self._changed:
            self._triggers += 1
        return _Asked(part_id, now_ns, now, now_ns)

    # A clock or a command asks for a part

    def _next_asked(self, end: float) -> _Asked | None:
        """The oldest trigger that waits for its frame; waits for one until end. Raises EndOfStream."""
        with self._changed:
            while True:
                wait_s = end - time.monotonic()
                if not self._asked and (self._ended or self._closed):
                    raise EndOfStream(f"camera {self.camera_id}: {'closed' if self._closed else 'no more pictures'}")
                if isinstance(self._trigger, FreeRun) and not self._asked and not self._paused:
                    wait_s = min(wait_s, self._tick(self._trigger))
                if self._asked:
                    return self._asked[0]
                if end <= time.monotonic():
                    return None
                self._changed.wait(max(0.0, wait_s))

    def _tick(self, trigger: FreeRun) -> float:
        """Ask for a part when a tick is due; seconds to the next tick otherwise."""
        now_ns = self._clock.monotonic_ns()
        if self._next_tick_ns is None:
            self._next_tick_ns = now_ns
        late_ns = now_ns - self._next_tick_ns
        if late_ns < 0:
            return -late_ns / 1e9
        missed = late_ns // trigger.period_ns
        self._missed += missed
        self._next_tick_ns += (missed + 1) * trigger.period_ns
        self._ask(None, trigger.patience_ns)
        return 0.0

    def _ask(self, part_id: str | None, patience_ns: int) -> _Asked:
        now_ns = self._clock.monotonic_ns()
        asked = _Asked(part_id, now_ns, self._clock.now(), now_ns + patience_ns)
        self._asked.append(asked)
        self._triggers += 1
        return asked

    def _serve(self, asked: _Asked, end: float) -> Shot | None:
        """The shot of this trigger, or None when end comes before both its frame and the end of its patience."""
        while True:
            left_s = (asked.until_ns - self._clock.monotonic_ns()) / 1e9
            if left_s < 0 and isinstance(self._trigger, OnCommand) and not self.lossless:
                return self._missing_shot(self._served())  # whatever the camera sees by now is another part
            try:
                frame = self._source.read(max(0.0, min(left_s, end - time.monotonic())))
            except CameraLost as error:
                asked.error = str(error)
                frame = None
            except BadImage as error:
                return self._bad_shot(self._served(), error)
            except EndOfStream as error:
                if isinstance(self._trigger, FreeRun):
                    self._withdraw_tick()
                    raise
                self._ended = True
                asked.until_ns, asked.error = 0, str(error)
                frame = None
            if frame is not None and self._is_fresh(frame, asked):
                return self._shot(self._served(), frame)
            if frame is None and self._clock.monotonic_ns() >= asked.until_ns:
                return self._missing_shot(self._served())
            if time.monotonic() >= end:
                return None

    def _served(self) -> _Asked:
        with self._changed:
            return self._asked.popleft()

    def _withdraw_tick(self) -> None:
        """The source ended or was closed between two ticks: this one asks for a part that does not exist."""
        with self._changed:
            self._ended = True
            self._asked.popleft()
            self._triggers -= 1

    def _is_fresh(self, frame: Frame, asked: _Asked) -> bool:
        """Stored pictures do not age. A live frame must be newer than the resume and, on command, than its trigger."""
        from_ns = self._fresh_from_ns
        if isinstance(self._trigger, OnCommand):
            from_ns = max(from_ns, asked.at_ns + round(self._trigger.latency_s * 1e9))
        if self._source.lossless or frame.captured_ns >= from_ns:
            return True
        with self._changed:
            self._discarded += 1
            self._dropped_since += 1 + frame.dropped_before
        return False

    # Shots

    def _shot(self, asked: _Asked, frame: Frame) -> Shot:
        part_id = asked.part_id or frame.part_id or self._new_part_id()
        with self._changed:
            dropped, self._dropped_since = self._dropped_since + frame.dropped_before, 0
        report = self._health.check(frame.pixels)
        return self._counted(
            Shot(
                part_id=part_id,
                camera_id=self.camera_id,
                triggered_ns=asked.at_ns,
                triggered_at=asked.at,
                frame=replace(frame, part_id=part_id, dropped_before=dropped),
                quality=report.quality,
                fault=report.fault,
                fault_detail=report.detail,
                dropped_before=dropped,
                source_ref=frame.source_ref,
            )
        )

    def _bad_shot(self, asked: _Asked, error: BadImage) -> Shot:
        return self._faulty(asked, asked.part_id or error.part_id, error.fault, str(error), error.source_ref)

    def _missing_shot(self, asked: _Asked) -> Shot:
        waited_s = (self._clock.monotonic_ns() - asked.at_ns) / 1e9
        detail = f"no frame within {waited_s:.2f} s" + (f": {asked.error}" if asked.error else "")
        return self._faulty(asked, asked.part_id, CameraFault.NO_FRAME, detail, "")

    def _faulty(self, asked: _Asked, part_id: str | None, fault: CameraFault, detail: str, source_ref: str) -> Shot:
        return self._counted(
            Shot(
                part_id=part_id or self._new_part_id(),
                camera_id=self.camera_id,
                triggered_ns=asked.at_ns,
                triggered_at=asked.at,
                frame=None,
                fault=fault,
                fault_detail=detail,
                source_ref=source_ref,
            )
        )

    def _counted(self, shot: Shot) -> Shot:
        if shot.fault is not None:
            with self._changed:
                self._faults += 1
        return shot

    def _new_part_id(self) -> str:
        return f"{self._prefix}-{uuid_utils.uuid7()}"

"""What people and machines may do to a running line. One way for MQTT, HTTP and CLI; every action is audited."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

import structlog

from qc.decide.halt import LEVELS
from qc.domain.alarm import Action, Alarm, AlarmState
from qc.domain.errors import CommandError, LabelError, PublishError, StoreError, UnknownPart
from qc.domain.ports import AlarmBook, Camera, Clock, Command, CommandHandler, ImageArchive, Publisher, RecordStore
from qc.domain.record import AuditEntry, Entry, Event, Json
from qc.line import Line
from qc.line.latest import LatestParts
from qc.line.shelf import Shelf
from qc.publish.events import line_event
from qc.publish.topics import EdgeName

log = structlog.get_logger(__name__)

LEVEL_ALARM = "halt_policy"
"""Quantity of the alarm that the halt policy raises; acknowledging it also resets the policy."""


@dataclass(frozen=True, slots=True)
class ControlPorts:
    """What the actions work on.

    remember: keeps the active variant over restarts. halted: is told how often the line has asked for a halt so far.
    """

    name: EdgeName
    cameras: Sequence[Camera]
    store: RecordStore
    archive: ImageArchive
    publisher: Publisher
    alarms: AlarmBook
    clock: Clock
    latest: LatestParts
    remember: Callable[[str], None]
    halted: Callable[[int], None] = lambda _halts: None


class Control:
    """Executes commands. ``handle`` is a CommandHandler; refused commands are audited too and raise CommandError."""

    def __init__(
        self, line: Line, shelf: Shelf, ports: ControlPorts, extra: Mapping[str, CommandHandler] = MappingProxyType({})
    ) -> None:
        """extra: further commands by name (labels, challenge parts, model releases), each its own handler."""
        self._line = line
        self._shelf = shelf
        self._ports = ports
        self._raised_by = ""
        """Alarm that raised the line's level last."""
        self._actions: dict[str, CommandHandler] = {
            "recipe": self._recipe,
            "pause": self._pause,
            "resume": self._resume,
            "trigger": self._trigger,
            "ack-alarm": self._acknowledge,
            "snooze-alarm": self._snooze,
            "replay": self._replay,
            "snapshot": self._snapshot,
            **extra,
        }

    def handle(self, command: Command) -> Mapping[str, Json]:
        """Run one command and return the body of its answer. Raises CommandError when it is refused."""
        action = self._actions.get(command.name)
        try:
            if action is None:
                raise CommandError("unknown_command", f"{command.name!r} is not served by this edge")
            result = action(command)
        except CommandError as error:
            self.audit(command, f"refused: {error.code}: {error}")
            raise
        except LabelError as error:
            self.audit(command, f"refused: {error.code}: {error}")
            raise CommandError(error.code, str(error)) from error
        except UnknownPart as error:
            self.audit(command, f"refused: not_found: {error}")
            raise CommandError("not_found", str(error)) from error
        except (StoreError, PublishError) as error:
            self.audit(command, f"failed: {error}")
            raise CommandError("internal", str(error)) from error
        self.audit(command, "done")
        return result

    def serves(self, name: str) -> bool:
        """Whether this edge knows the command, so that a page need not offer what would be refused."""
        return name in self._actions

    def _recipe(self, command: Command) -> Mapping[str, Json]:
        """Changeover: everything is loaded and verified first, then one assignment between two parts."""
        former = self._line.setup
        setup = self._shelf.setup(str(command.body["variant"]))
        self._ports.remember(
            setup.recipe.variant
        )  # first: a kill or a full disk here must not send a restart back to the former one
        self._line.setup = setup
        detail: dict[str, Json] = {
            "variant": setup.recipe.variant,
            "recipe_version": setup.recipe.version,
            "model": setup.recipe.model_id,
            "former_variant": former.recipe.variant,
        }
        self._tell("changeover", command, f"{former.recipe.variant} -> {setup.recipe.variant}", detail)
        return detail

    def _pause(self, command: Command) -> Mapping[str, Json]:
        self._line.pause()
        self._tell("paused", command, str(command.body.get("reason", "")))
        return {"paused": True}

    def _resume(self, command: Command) -> Mapping[str, Json]:
        self._line.resume()
        self._tell("resumed", command)
        return {"paused": False}

    def _trigger(self, command: Command) -> Mapping[str, Json]:
        part_id = command.body.get("part_id")
        camera = self._camera(command)
        return {"camera": camera.camera_id, "part_id": camera.trigger(None if part_id is None else str(part_id))}

    def _acknowledge(self, command: Command) -> Mapping[str, Json]:
        who = str(command.body.get("operator", command.who))
        alarm = self._ports.alarms.acknowledge(str(command.body["alarm_id"]), who, str(command.body.get("note", "")))
        if alarm.quantity == LEVEL_ALARM or not self._still_asked(self._line.status().level):
            level = self._line.acknowledge_level()
            if alarm.quantity == LEVEL_ALARM:
                self._ports.alarms.clear(alarm.quantity, alarm.slice)
            if level is not Action.NONE:
                self._tell("level_acknowledged", command, f"{level.value} acknowledged by {who}")
        return {"alarm_id": alarm.alarm_id, "state": alarm.state.value}

    def _still_asked(self, level: Action) -> bool:
        """Whether an alarm that nobody has acknowledged yet asks for this level."""
        return any(
            alarm.state is AlarmState.OPEN and LEVELS.index(alarm.action) >= LEVELS.index(level)
            for alarm in self._ports.alarms.open_alarms()
        )

    def heed(self, alarm: Alarm) -> None:
        """An alarm asks for more caution than the line shows: raise the halt policy's level, and say so once."""
        if self._line.raise_level(alarm.action, alarm.message):
            self._raised_by = alarm.alarm_id
            self._ports.halted(self._line.status().halts)
            what = "halt_requested" if alarm.action is Action.HALT else "level_raised"
            detail = {"level": alarm.action.value, "alarm_id": alarm.alarm_id, "quantity": alarm.quantity}
            self.announce(line_event(what, self._ports.name, at=alarm.updated_at, message=alarm.message, detail=detail))

    def relieve(self, alarm: Alarm) -> None:
        """An alarm is over by itself (another model decides now, say): the level that it raised must not stay without any alarm to
        acknowledge, and falls unless another one asks for it."""
        level = self._line.status().level
        if alarm.alarm_id != self._raised_by or level not in (Action.REVIEW_ALL, Action.HALT) or self._still_asked(level):
            return
        self._raised_by = ""
        self._line.acknowledge_level()
        detail = {"level": level.value, "alarm_id": alarm.alarm_id, "quantity": alarm.quantity}
        message = f"{level.value} is over: its alarm has cleared"
        self.announce(line_event("level_cleared", self._ports.name, at=alarm.updated_at, message=message, detail=detail))

    def _snooze(self, command: Command) -> Mapping[str, Json]:
        minutes = command.body["minutes"]
        if not isinstance(minutes, int | float):
            raise CommandError("invalid_argument", "minutes: must be a number")
        until = self._ports.clock.now() + timedelta(minutes=minutes)
        who = str(command.body.get("operator", command.who))
        alarm = self._ports.alarms.snooze(str(command.body["alarm_id"]), who, until, str(command.body["reason"]))
        return {"alarm_id": alarm.alarm_id, "state": alarm.state.value, "until": until.isoformat()}

    def _replay(self, command: Command) -> Mapping[str, Json]:
        since, from_seq = command.body.get("since"), command.body.get("from_seq")
        queued = self._ports.store.replay(
            from_seq=from_seq if isinstance(from_seq, int) else None,
            since=datetime.fromisoformat(since) if isinstance(since, str) else None,
        )
        self._ports.publisher.wake()
        return {"queued": queued}

    def _snapshot(self, command: Command) -> Mapping[str, Json]:
        """Keep the picture of the camera's last part, whatever the image policy said."""
        camera = self._camera(command)
        latest = self._ports.latest.of(camera.camera_id)
        if latest is None or latest.shot.frame is None:
            raise CommandError("not_found", f"camera {camera.camera_id} has given no picture yet")
        record = latest.record
        if not self._ports.archive.submit(
            record, latest.shot.frame.pixels, latest.inspection.defect_map if latest.inspection else None
        ):
            raise CommandError("busy", "the image archive cannot take a picture now (queue or disk full)")
        return {"camera": camera.camera_id, "part_id": record.part_id, "image_ref": f"/api/v1/images/{record.event_id}"}

    def _camera(self, command: Command) -> Camera:
        cameras = {camera.camera_id: camera for camera in self._ports.cameras}
        wanted = command.body.get("camera")
        if wanted is None and len(cameras) == 1:
            return next(iter(cameras.values()))
        if wanted is None or str(wanted) not in cameras:
            raise CommandError("unknown_camera", f"camera {wanted!r}: say one of {', '.join(sorted(cameras))}")
        return cameras[str(wanted)]

    def _tell(self, what: str, command: Command, message: str = "", detail: Mapping[str, Json] | None = None) -> None:
        facts = {key: value for key, value in (detail or {}).items() if not isinstance(value, list | dict)}
        who = str(command.body.get("operator") or command.who)
        self.announce(
            line_event(
                what, self._ports.name, at=self._ports.clock.now(), message=message, who=who, via=command.via, detail=facts
            )
        )

    def announce(self, event: Event) -> None:
        """Store an event of the line as a whole and have it published."""
        self._ports.store.append([Entry(event)])
        self._ports.publisher.wake()
        log.info("line_event", **{key: value for key, value in event.body.items() if key in ("what", "message", "who", "via")})

    def audit(self, command: Command, outcome: str) -> None:
        """Put something into the audit trail that is no command of the line (a login, an export)."""
        entry = AuditEntry(self._ports.clock.now(), command.who, command.via, command.name, command.body, outcome)
        try:
            self._ports.store.audit(entry)
        except StoreError as error:
            log.error("audit_not_written", command=command.name, who=command.who, outcome=outcome, error=str(error))

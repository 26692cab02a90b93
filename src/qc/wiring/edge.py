"""One edge process, joined together from its settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from qc.control import LEVEL_ALARM, Control, ControlPorts
from qc.decide.halt import HaltState
from qc.domain.alarm import Action, Alarm, AlarmState, Cause
from qc.domain.clock import SystemClock
from qc.domain.errors import CommandError, ConfigError, StoreError
from qc.domain.ports import Camera, Clock, Command, Inspector, Observer, Publisher
from qc.domain.recipe import Recipe
from qc.domain.record import Entry, InspectionRecord, Json, OutboxRow
from qc.inspection.heatmap import encode_map
from qc.line import Line, LinePorts, Setup
from qc.line.latest import LatestParts
from qc.line.ports import NoSignal, RolloutPorts
from qc.line.rollout import Rollout
from qc.line.shelf import Shelf
from qc.monitor.alarm_book import StoredAlarmBook
from qc.monitor.not_inspected import NotInspectedAlarms
from qc.publish.events import alarm_event, line_event
from qc.publish.topics import EdgeName
from qc.record.alarm_store import SqliteAlarmStore
from qc.record.archive import DiskImageArchive, Trouble
from qc.record.archive_policy import ArchivePolicy
from qc.record.columns import ColumnReader
from qc.record.database import Database, Synchronous
from qc.record.evidence_log import EvidenceLog
from qc.record.line_state import ACTIVE_VARIANT, HALTS, LineState
from qc.record.outbox import OutboxLimits
from qc.record.retention import RetentionLimits
from qc.record.store import SqliteRecordStore
from qc.record.truth_store import SqliteTruthStore
from qc.release.loading import load_trusted
from qc.release.registry import Registry
from qc.release.transitions import By
from qc.settings import LineSettings
from qc.wiring.broker import build_publisher
from qc.wiring.cameras import build_camera
from qc.wiring.release import ShadowDesk, build_registry, build_runtime, promoted_recipes
from qc.wiring.telemetry import Telemetry
from qc.wiring.truth import TruthStreet

log = structlog.get_logger(__name__)

_MB = 1_000_000
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Edge:
    """Everything that runs in one edge process; ``start`` and ``stop`` keep the order."""

    name: EdgeName
    settings: LineSettings
    database: Database
    store: SqliteRecordStore
    truth: SqliteTruthStore
    street: TruthStreet
    archive: DiskImageArchive
    alarms: StoredAlarmBook
    cameras: Sequence[Camera]
    shelf: Shelf
    line: Line
    latest: LatestParts
    control: Control
    publisher: Publisher
    telemetry: Telemetry
    registry: Registry
    rollout: Rollout

    def start(self) -> None:
        self.street.restore()
        self.publisher.start()
        self.rollout.start(self.line)
        self.line.start()
        self.telemetry.start()
        self.announce("started")

    def stop(self) -> None:
        """Judge and record what is in hand, then say goodbye. Idempotent."""
        self.line.stop()
        self.rollout.close()
        self.announce("stopped")
        self.telemetry.close()
        self.street.upkeep()
        self.publisher.close()
        self.archive.close()
        self.store.close()

    def announce(self, what: str) -> None:
        detail = {"variant": self.line.setup.recipe.variant, "model": self.line.setup.recipe.model_id}
        try:
            self.control.announce(line_event(what, self.name, at=SystemClock().now(), detail=detail))
        except StoreError as error:
            log.error("line_event_not_stored", what=what, error=str(error))


class _Handler:
    """Breaks the circles around control: publisher and alarm book get this, control is put in afterwards."""

    control: Control | None = None
    rollout: Rollout | None = None

    def listen(self, alarm: Alarm) -> None:
        """Canaries and the halt policy listen to the alarms."""
        if self.rollout is not None:
            self.rollout.heed(alarm)
        if self.control is not None and alarm.quantity != LEVEL_ALARM:
            self.control.heed(alarm)

    def __call__(self, command: Command) -> Mapping[str, Json]:
        if self.control is None:
            raise CommandError("busy", "the edge is starting")
        return self.control.handle(command)


def build_edge(
    settings: LineSettings,
    recipes: Mapping[str, Recipe],
    *,
    clock: Clock | None = None,
    cameras: Sequence[Camera] | None = None,
    observers: Sequence[Observer] = (),
    load: Callable[[str], Inspector] | None = None,
) -> Edge:
    """Open the store, load and verify the active model, and join everything; nothing runs yet.

    cameras: instead of those of the settings (the demo brings its own). load: model id -> inspector, instead of the model
    directory's own (a simulation that remembers answers). Raises ConfigError, StoreError, BundleError.
    """
    clock = clock or SystemClock()
    name = EdgeName(settings.edge.site, settings.edge.area, settings.edge.line, settings.edge.edge)
    database = Database(settings.storage.directory / "qc.sqlite3", synchronous=_synchronous(settings))
    store = _store(settings, database)
    truth, state = SqliteTruthStore(database), LineState(database)
    registry = build_registry(settings.models, clock)
    files, recipes = recipes, promoted_recipes(recipes, registry)
    shelf = Shelf(recipes, load or _Loader(settings, registry))
    alarm_store = SqliteAlarmStore(database)
    handler = _Handler()

    def tell_alarm(alarm: Alarm) -> None:
        store.append([Entry(alarm_event(alarm, name))])
        publisher.wake()
        if alarm.state is AlarmState.OPEN:
            handler.listen(alarm)
        elif alarm.state is AlarmState.CLEARED and handler.control is not None:
            handler.control.relieve(alarm)

    def on_dead_letter(row: OutboxRow, reason: str) -> None:
        message = f"the broker refused an event of kind {row.kind.value}: {reason}; see docs/operations.md, dead letters"
        alarms.report("dead_letters", row.kind.value, cause=Cause.SYSTEM, action=Action.ADVISE, message=message)

    def level_raised(level: HaltState, record: InspectionRecord) -> None:
        state.put(HALTS, str(level.halts))
        message = f"{record.variant}: {level.reason}"
        diagnosis = street.diagnosis(record.variant)
        alarms.report(
            LEVEL_ALARM,
            record.variant,
            cause=diagnosis.cause,
            action=level.level,
            message=message,
            parts=[record.event_id],
            evidence_by_cause=diagnosis.evidence,
        )

    publisher = build_publisher(settings.mqtt, store, name, handler=handler, on_dead_letter=on_dead_letter)
    alarms = StoredAlarmBook(alarm_store, clock, tell_alarm)
    archive = _archive(settings, database, alarms)
    cameras = cameras or [build_camera(camera, store, clock) for camera in settings.cameras]
    street = TruthStreet(
        settings,
        recipes,
        name=name,
        store=store,
        truth=truth,
        archive=archive,
        alarms=alarms,
        alarm_store=alarm_store,
        columns=ColumnReader(database),
        evidence=EvidenceLog(database),
        clock=clock,
        publisher=publisher,
    )
    latest = LatestParts()
    desk = ShadowDesk(database, name=name, store=store, archive=archive, publisher=publisher)

    def tell_step(what: str, by: By, message: str, detail: Mapping[str, Json]) -> None:
        facts = {key: value for key, value in detail.items() if not isinstance(value, list | dict)}
        event = line_event(what, name, at=clock.now(), message=message, who=by.who, via=by.via, detail=facts)
        store.append([Entry(event)])
        publisher.wake()

    rollout = Rollout(
        files,
        shelf,
        RolloutPorts(
            registry=registry,
            alarms=alarms,
            clock=clock,
            shadow_link=desk.link,
            bounds=street.monitor_bounds,
            lowest_q=street.lowest_q,
            use=street.use,
            tell=tell_step,
            answers=street.canary_answers,
        ),
    )
    handler.rollout, street.canary_labelled = rollout, rollout.labelled
    line = Line(
        LinePorts(
            name=name,
            cameras=cameras,
            store=store,
            archive=archive,
            publisher=publisher,
            signal=NoSignal(),
            clock=clock,
            shift_of=street.shift_of,
            ticket_for=street.ticket_for,
            challenge_of=street.challenge_of,
            level_raised=level_raised,
            observers=[NotInspectedAlarms(alarms), street, latest, rollout, *observers],
        ),
        _first_setup(settings, shelf, state, rollout),
        choose=lambda shot, setup: rollout.choose(shot, shelf.by_part_id(shot, setup)),
        counts=store.parts_by_reason(),
        halts=int(state.get(HALTS) or 0),
    )
    desk.line = line
    ports = ControlPorts(
        name=name,
        cameras=cameras,
        store=store,
        archive=archive,
        publisher=publisher,
        alarms=alarms,
        clock=clock,
        latest=latest,
        remember=lambda variant: state.put(ACTIVE_VARIANT, variant),
        halted=lambda halts: state.put(HALTS, str(halts)),
    )
    handler.control = control = Control(line, shelf, ports, extra={**street.commands(), "model": rollout.command})
    telemetry = Telemetry(
        line,
        publisher,
        cameras=lambda: [camera.status() for camera in cameras],
        alarms=alarms.open_alarms,
        variants=shelf.variants(),
        releases=rollout.status,
        images_dropped=lambda: archive.status().dropped_queue + archive.status().dropped_disk,
        upkeep=[store.maintain, street.upkeep],
    )
    return Edge(
        name=name,
        settings=settings,
        database=database,
        store=store,
        truth=truth,
        street=street,
        archive=archive,
        alarms=alarms,
        cameras=cameras,
        shelf=shelf,
        line=line,
        latest=latest,
        control=control,
        publisher=publisher,
        telemetry=telemetry,
        registry=registry,
        rollout=rollout,
    )


class _Loader:
    """Model id -> verified, warmed inspector, from the model directory; signed, where signatures are required."""

    def __init__(self, settings: LineSettings, registry: Registry) -> None:
        self._models = settings.models
        self._keys = registry.keys

    def __call__(self, model_id: str) -> Inspector:
        return load_trusted(self._models.directory / model_id, build_runtime(self._models), self._keys)


def _first_setup(settings: LineSettings, shelf: Shelf, state: LineState, rollout: Rollout) -> Setup:
    """The variant of the last changeover, else the settings' one; every model that a part id may call for is loaded too.

    A promoted model that cannot be loaded any more gives way to the one before it.
    """
    remembered = state.get(ACTIVE_VARIANT)
    variant = remembered if remembered in shelf.variants() else settings.recipes.active
    for name in shelf.with_part_id_rule():
        try:
            shelf.setup(name)
        except CommandError as error:
            if not rollout.fall_back(name, str(error)):
                raise ConfigError(f"{name!r}: {error}") from error
    try:
        return shelf.setup(variant)
    except CommandError as error:
        if rollout.fall_back(variant, str(error)):
            return shelf.setup(variant)
        where = f"{variant!r}, which the last changeover chose" if variant == remembered else "recipes.active"
        raise ConfigError(f"{where}: {error}") from error


def _synchronous(settings: LineSettings) -> Synchronous:
    return "FULL" if settings.storage.synchronous == "full" else "NORMAL"


def _store(settings: LineSettings, database: Database) -> SqliteRecordStore:
    storage = settings.storage
    limits = OutboxLimits(
        limit_bytes=int(storage.outbox_limit_mb * _MB),
        limit_age_s=storage.outbox_max_age_days * _DAY_S,
        sent_keep_s=storage.sent_keep_days * _DAY_S,
    )
    return SqliteRecordStore(database, limits=limits)


def _archive(settings: LineSettings, database: Database, alarms: StoredAlarmBook) -> DiskImageArchive:
    storage = settings.storage
    budget_bytes = int(storage.image_budget_mb * _MB)

    def trouble(kind: Trouble, detail: str) -> None:
        message = f"pictures are not kept: {detail}; inspecting and recording go on"
        alarms.report("image_archive", kind.value, cause=Cause.SYSTEM, action=Action.ADVISE, message=message)

    return DiskImageArchive(
        database,
        storage.directory / "images",
        encode_heatmap=encode_map,
        policy=ArchivePolicy(ok_share=storage.ok_share, encoding=storage.image_format),
        limits=RetentionLimits(
            budget_bytes=budget_bytes,
            ok_budget_bytes=budget_bytes // 2,
            min_free_bytes=int(storage.min_free_mb * _MB),
            ok_max_age_s=storage.ok_max_age_days * _DAY_S,
            max_age_s=storage.ng_max_age_days * _DAY_S,
        ),
        on_trouble=trouble,
        on_recovered=lambda kind: alarms.clear("image_archive", kind.value),
    )

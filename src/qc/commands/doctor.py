"""``qc doctor``: everything that can be wrong before the line starts, and what to do about it."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qc.commands.logs import set_up_logs
from qc.console.server import bind_port
from qc.domain.clock import SystemClock
from qc.domain.errors import BadImage, BundleError, CameraLost, ConfigError, EndOfStream, PublishError, StoreError
from qc.domain.frame import Frame
from qc.domain.recipe import Recipe
from qc.ingest.health import FrameHealth
from qc.inspection.session import Runtime, load_inspector
from qc.publish.check import check_broker
from qc.publish.topics import EdgeName
from qc.record.database import Database
from qc.record.store import SqliteRecordStore
from qc.settings import LineSettings, load_line, load_recipes
from qc.settings.line import CameraSettings
from qc.wiring.broker import mqtt_options
from qc.wiring.cameras import build_source, health_limits

_CAMERA_PATIENCE_S = 8.0
_FOLDER_PATIENCE_S = 3.0
_MB = 1_000_000


class Grade(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. remedy: what to do; empty when nothing has to be done."""

    check: str
    grade: Grade
    message: str
    remedy: str = ""


def doctor(config: Path, *, as_json: bool) -> int:
    """Exit code 0 when the line can start, 1 when something failed (warnings do not count)."""
    set_up_logs("error", "json")
    findings = list(examine(config))
    if as_json:
        print(json.dumps({"config": str(config), "findings": [asdict(finding) for finding in findings]}, indent=1))
    else:
        _show(findings)
    return int(any(finding.grade is Grade.FAILED for finding in findings))


def examine(config: Path, *, camera_patience_s: float = _CAMERA_PATIENCE_S) -> Iterator[Finding]:
    """All findings in the order in which the line needs things; the later ones need readable settings.

    camera_patience_s: how long a camera may take to its first frame.
    """
    try:
        settings = load_line(config)
        yield Finding("settings", Grade.OK, f"{config} is valid")
        recipes = load_recipes(settings.recipes.directory)
    except ConfigError as error:
        yield Finding("settings", Grade.FAILED, str(error), "correct the file; every key is explained in docs/configuration.md")
        return
    yield from _recipes(settings, recipes)
    yield from _models(settings, recipes)
    for camera in settings.cameras:
        yield from _camera(camera, camera_patience_s)
    yield from _storage(settings)
    yield from _clock(settings)
    yield from _http(settings)
    yield from _broker(settings)


def _recipes(settings: LineSettings, recipes: dict[str, Recipe]) -> Iterator[Finding]:
    active = settings.recipes.active
    if active in recipes:
        yield Finding("recipes", Grade.OK, f"{len(recipes)} recipes: {', '.join(sorted(recipes))}; {active} is active")
    else:
        remedy = f"set recipes.active to one of {', '.join(sorted(recipes))}, or add a recipe for {active}"
        yield Finding("recipes", Grade.FAILED, f"recipes.active = {active!r} has no recipe", remedy)


def _models(settings: LineSettings, recipes: dict[str, Recipe]) -> Iterator[Finding]:
    runtime = Runtime(providers=tuple(settings.models.providers), intra_op_threads=settings.models.intra_op_threads)
    for model in sorted({recipe.model_id for recipe in recipes.values()}):
        variants = ", ".join(sorted(recipe.variant for recipe in recipes.values() if recipe.model_id == model))
        try:
            inspector = load_inspector(settings.models.directory / model, runtime)
        except BundleError as error:
            yield Finding(f"model {model}", Grade.FAILED, str(error), f"needed by {variants}; docs/model-bundle.md")
        else:
            detail = (
                f"verified, reproduces its {len(inspector.card.golden)} golden vectors on {inspector.provider}; for {variants}"
            )
            yield Finding(f"model {model}", Grade.OK, detail)


def _camera(settings: CameraSettings, patience_s: float) -> Iterator[Finding]:
    """Grab a frame, judge its health, and suggest a focus limit."""
    check = f"camera {settings.id}"
    if settings.source.kind == "folder" and not settings.source.path.is_dir():
        yield Finding(check, Grade.FAILED, f"{settings.source.path}: no such folder", "create it, or correct cameras.source.path")
        return
    frame, failure = _grab(settings, patience_s)
    if frame is None and settings.source.kind == "folder":
        yield Finding(check, Grade.WARNING, f"{settings.source.path}: {failure}", "put an image there and ask again")
    elif frame is None:
        remedy = "check cable, power, address, user and password; another program may hold the camera"
        yield Finding(check, Grade.FAILED, failure, remedy)
    else:
        yield _picture(check, settings, frame)


def _grab(settings: CameraSettings, patience_s: float) -> tuple[Frame | None, str]:
    """One frame, or None and why."""
    failure = "no frame yet"
    with _ScratchStore() as store:
        source = build_source(settings, store, SystemClock())
        source.start()
        try:
            end = time.monotonic() + (min(patience_s, _FOLDER_PATIENCE_S) if settings.source.kind == "folder" else patience_s)
            while time.monotonic() < end:
                try:
                    if (frame := source.read(0.5)) is not None:
                        return frame, ""
                except (BadImage, CameraLost) as error:
                    failure = str(error)
                    time.sleep(0.1)
                except EndOfStream:
                    return None, "there is no readable image" if failure == "no frame yet" else failure
        finally:
            source.close()
    return None, failure


def _picture(check: str, settings: CameraSettings, frame: Frame) -> Finding:
    report = FrameHealth(health_limits(settings.health)).check(frame.pixels)
    height, width = frame.pixels.shape[:2]
    seen = f"{width} x {height}, brightness {report.quality.brightness:.0f}, focus {report.quality.focus:.0f}"
    if report.fault is not None:
        remedy = "look at the picture, and at the limits in cameras.health"
        return Finding(check, Grade.FAILED, f"{seen}: {report.fault.value}: {report.detail}", remedy)
    if settings.health.focus_below is None:
        hint = f"if this picture is sharp, health.focus_below = {report.quality.focus / 3:.0f} would notice a loss of focus"
        return Finding(check, Grade.OK, seen, hint)
    return Finding(check, Grade.OK, seen)


def _storage(settings: LineSettings) -> Iterator[Finding]:
    storage = settings.storage
    directory = storage.directory
    try:
        database = Database(directory / "qc.sqlite3")
        newest = next(iter(SqliteRecordStore(database).find(limit=1)), None)
        database.close()
        probe = directory / ".doctor"
        probe.write_bytes(b"x")
        probe.unlink()
    except (StoreError, OSError) as error:
        yield Finding(
            "storage", Grade.FAILED, f"{directory}: {error}", "give the service's user write access, or set storage.directory"
        )
        return
    yield Finding(
        "storage", Grade.OK, f"{directory} is writable; newest record: {newest.decided_at.isoformat() if newest else 'none yet'}"
    )
    if newest is not None and newest.decided_at > datetime.now(UTC) + timedelta(minutes=5):
        yield Finding(
            "clock",
            Grade.FAILED,
            f"the newest record is from the future: {newest.decided_at}",
            "set the clock (NTP) before the line starts",
        )
    free_mb = shutil.disk_usage(directory).free / _MB
    needed_mb = storage.min_free_mb + storage.image_budget_mb
    if free_mb < storage.min_free_mb:
        remedy = "free disk space, or lower storage.min_free_mb; until then no images are kept"
        yield Finding(
            "disk", Grade.FAILED, f"{free_mb:.0f} MB free, less than storage.min_free_mb = {storage.min_free_mb:.0f}", remedy
        )
    elif free_mb < needed_mb:
        remedy = "lower storage.image_budget_mb, or use a larger disk: the oldest images will go earlier than the budget says"
        yield Finding("disk", Grade.WARNING, f"{free_mb:.0f} MB free for a budget of {needed_mb:.0f} MB", remedy)
    else:
        yield Finding("disk", Grade.OK, f"{free_mb:.0f} MB free for a budget of {needed_mb:.0f} MB")


def _clock(settings: LineSettings) -> Iterator[Finding]:
    built = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    now = datetime.now(UTC)
    if now < built - timedelta(days=1):
        yield Finding("clock", Grade.FAILED, f"{now.isoformat()} is before this program was installed", "set the clock (NTP)")
        return
    if Path("/run/systemd/system").is_dir() and not Path("/run/systemd/timesync/synchronized").exists():
        yield Finding(
            "clock",
            Grade.WARNING,
            "systemd-timesyncd has not synchronised the clock",
            "enable NTP (timedatectl set-ntp true), unless another time service runs; records and shifts carry this time",
        )
        return
    yield Finding("clock", Grade.OK, f"{now.isoformat(timespec='seconds')}, shifts in {settings.sampling.timezone}")


def _http(settings: LineSettings) -> Iterator[Finding]:
    if not settings.http.enabled:
        return
    try:
        bind_port(settings.http.host, settings.http.port).close()
    except ConfigError as error:
        yield Finding("http", Grade.WARNING, str(error), "if this line is running already, that is its own port")
    else:
        yield Finding("http", Grade.OK, f"{settings.http.host}:{settings.http.port} is free")


def _broker(settings: LineSettings) -> Iterator[Finding]:
    if not settings.mqtt.enabled:
        yield Finding("broker", Grade.WARNING, "mqtt.enabled = false: nobody outside hears of anything", "")
        return
    edge = settings.edge
    try:
        done = check_broker(mqtt_options(settings.mqtt), EdgeName(edge.site, edge.area, edge.line, edge.edge))
    except PublishError as error:
        remedy = "the line starts without the broker and keeps its events; check [mqtt], the password and the broker's log"
        yield Finding("broker", Grade.FAILED, str(error), remedy)
    else:
        yield Finding("broker", Grade.OK, "; ".join(done))


class _ScratchStore:
    """An empty record store in a temporary folder: a watched folder asks it what was inspected before."""

    def __enter__(self) -> SqliteRecordStore:
        self._folder = tempfile.TemporaryDirectory(prefix="qc-doctor-")
        self._database = Database(Path(self._folder.name) / "qc.sqlite3")
        return SqliteRecordStore(self._database)

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._folder.cleanup()


_MARKS = {Grade.OK: ("ok", "green"), Grade.WARNING: ("warning", "yellow"), Grade.FAILED: ("FAILED", "bold red")}


def _show(findings: list[Finding]) -> None:
    """A finding per block: what was seen, and below it what to do."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    for finding in findings:
        grid.add_row(Text(*_MARKS[finding.grade]), Text(finding.check), Text(finding.message))
        if finding.remedy:
            grid.add_row("", "", Text(f"→ {finding.remedy}", "cyan"))
    failed, warnings = (sum(finding.grade is grade for finding in findings) for grade in (Grade.FAILED, Grade.WARNING))
    console = Console()
    console.print(grid)
    console.print(Text(f"{len(findings)} checks; failed: {failed}, warnings: {warnings}", "bold red" if failed else "bold green"))

"""Camera settings to cameras: one line per kind of source and trigger."""

from urllib.parse import quote, urlsplit, urlunsplit

from qc.domain.ports import Clock, FrameSource
from qc.ingest.camera import TriggeredCamera
from qc.ingest.device import device_source
from qc.ingest.folder import FolderReplay
from qc.ingest.health import FrameHealth, HealthLimits
from qc.ingest.rtsp import rtsp_source
from qc.ingest.trigger import EachFrame, FreeRun, OnCommand, Trigger
from qc.ingest.video import VideoFile
from qc.ingest.watch import FolderWatch
from qc.record.store import SqliteRecordStore
from qc.settings.line import (
    CameraSettings,
    CommandTriggerSettings,
    DeviceSettings,
    EachFrameSettings,
    FolderSettings,
    FreeRunSettings,
    HealthSettings,
    RtspSettings,
    VideoSettings,
)


def build_camera(settings: CameraSettings, store: SqliteRecordStore, clock: Clock) -> TriggeredCamera:
    """store: asked by a watched folder whether a file was inspected before a restart."""
    health = FrameHealth(health_limits(settings.health))
    return TriggeredCamera(build_source(settings, store, clock), _trigger(settings), health=health, clock=clock)


def build_source(settings: CameraSettings, store: SqliteRecordStore, clock: Clock) -> FrameSource:
    """The bare frame source, which ``qc doctor`` tries alone."""
    match settings.source:
        case FolderSettings(watch=True) as folder:
            return FolderWatch(settings.id, folder.path, inspected=_InspectedBefore(store), settle_s=folder.settle_s, clock=clock)
        case FolderSettings() as folder:
            return FolderReplay(settings.id, folder.path, loop=folder.loop, clock=clock)
        case VideoSettings() as video:
            return VideoFile(settings.id, video.path, clock=clock)
        case RtspSettings() as rtsp:
            return rtsp_source(
                settings.id,
                _with_credentials(rtsp),
                transport=rtsp.transport,
                open_timeout_s=rtsp.open_timeout_s,
                read_timeout_s=rtsp.read_timeout_s,
                clock=clock,
            )
        case DeviceSettings() as device:
            return device_source(
                settings.id, device.device, width=device.width, height=device.height, fps=device.fps, clock=clock
            )


def health_limits(settings: HealthSettings) -> HealthLimits:
    size = (settings.width, settings.height) if settings.width and settings.height else None
    return HealthLimits(
        black_below=settings.black_below or 0.0,
        saturated_share=settings.saturated_share or 0.0,
        focus_below=settings.focus_below or 0.0,
        frozen_after=settings.frozen_frames or 0,
        size=size,
    )


def _trigger(settings: CameraSettings) -> Trigger:
    match settings.trigger:
        case FreeRunSettings() as free_run:
            return FreeRun(free_run.rate_hz, free_run.frame_timeout_s)
        case CommandTriggerSettings() as command:
            return OnCommand(command.frame_timeout_s)
        case EachFrameSettings():
            return EachFrame()


def _with_credentials(rtsp: RtspSettings) -> str:
    if not rtsp.username:
        return rtsp.url
    parts = urlsplit(rtsp.url)
    credentials = quote(rtsp.username, safe="") + ":" + quote(rtsp.password.get_secret_value(), safe="")
    return urlunsplit(parts._replace(netloc=f"{credentials}@{parts.netloc}"))


class _InspectedBefore:
    """Whether a watched file already has its record; asked once per file and start."""

    def __init__(self, store: SqliteRecordStore) -> None:
        self._store = store

    def __call__(self, part_id: str, source_ref: str) -> bool:
        return any(record.source_ref == source_ref for record in self._store.by_part(part_id))

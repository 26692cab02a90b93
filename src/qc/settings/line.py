"""The line's file, ``configs/line.toml``."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, BeforeValidator, Field, SecretStr, field_validator, model_validator

from qc.settings.base import Count, Name, Positive, Section, Share

FilePath = Annotated[Path, BeforeValidator(lambda value: Path(value) if isinstance(value, str) else value)]
"""Relative paths count from the folder of the settings file."""


class EdgeSettings(Section):
    """Where this edge stands in the plant (ISA-95 order); part of every topic."""

    site: Name
    area: Name
    line: Name
    edge: Name


class FolderSettings(Section):
    """Images from a folder: replayed once, or watched for new files."""

    kind: Literal["folder"]
    path: FilePath
    """The folder."""
    watch: bool = False
    """true: wait for new files, inspect each complete one once. false: replay what is there, then end."""
    loop: bool = False
    """Replay again and again (not with watch)."""
    settle_s: Positive = 0.2
    """A watched file is complete when its size and time have not changed for this long."""


class VideoSettings(Section):
    """Every frame of a video file."""

    kind: Literal["video"]
    path: FilePath


class RtspSettings(Section):
    """An RTSP camera. The password comes from QC_CAMERA_<ID>_PASSWORD or a credential file, never from here."""

    kind: Literal["rtsp"]
    url: str
    """rtsp://host:port/path without credentials."""
    username: str = ""
    password: SecretStr = Field(default=SecretStr(""), exclude=True)
    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: Positive = 5.0
    read_timeout_s: Positive = 2.0

    @field_validator("url")
    @classmethod
    def _no_credentials(cls, url: str) -> str:
        if not re.match(r"^rtsps?://[^/@]+(/.*)?$", url):
            raise ValueError("must look like rtsp://host:port/path, without user name and password")
        return url


class DeviceSettings(Section):
    """A USB / V4L2 camera through OpenCV."""

    kind: Literal["device"]
    device: int | str
    """Number or path, for example 0 or /dev/v4l/by-id/..."""
    width: Count | None = None
    height: Count | None = None
    fps: Positive | None = None


class FreeRunSettings(Section):
    """The line itself triggers, at a fixed rate."""

    kind: Literal["free_run"]
    rate_hz: Positive
    frame_timeout_s: Positive = 1.0
    """A trigger without a fresh frame for this long is NOT_INSPECTED."""


class EachFrameSettings(Section):
    """Every item of the source is a part: files, frames of a video."""

    kind: Literal["each_frame"]


class CommandTriggerSettings(Section):
    """A part arrives when somebody says so (MQTT command ``trigger``, HTTP)."""

    kind: Literal["command"]
    frame_timeout_s: Positive = 1.0
    """A trigger without a frame for this long is NOT_INSPECTED."""


class HealthSettings(Section):
    """Limits of the deterministic camera checks; 0 switches a check off, and so does leaving out one without a default."""

    width: Count | None = None
    """Expected width in pixels; together with height."""
    height: Count | None = None
    """Expected height in pixels."""
    frozen_frames: Annotated[int, Field(ge=2)] | None = None
    """This many identical frames in a row mean a frozen camera."""
    black_below: Annotated[float, Field(ge=0, le=255)] | None = 4.0
    """Mean grey below this is a black frame."""
    saturated_share: Share | None = 0.5
    """More than this share of pixels at full scale is an overexposed frame."""
    focus_below: Annotated[float, Field(ge=0)] | None = None
    """Variance of the Laplacian below this is out of focus; read a good value from ``qc doctor``."""

    @model_validator(mode="after")
    def _whole_size(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height belong together: give both, or neither")
        return self


class CameraSettings(Section):
    """One camera: where frames come from and what triggers a part."""

    id: Name
    source: FolderSettings | VideoSettings | RtspSettings | DeviceSettings = Field(discriminator="kind")
    trigger: FreeRunSettings | EachFrameSettings | CommandTriggerSettings = Field(discriminator="kind")
    health: HealthSettings = HealthSettings()

    @model_validator(mode="after")
    def _trigger_fits(self) -> Self:
        files = self.source.kind in ("folder", "video")
        if not files and self.trigger.kind == "each_frame":
            raise ValueError(f"a live camera ({self.source.kind}) needs trigger free_run or command, not each_frame")
        return self


class ModelsSettings(Section):
    """Model bundles and how they run."""

    directory: FilePath
    """Folder of bundles, ``<directory>/<model>/``."""
    providers: Annotated[list[Literal["cpu", "cuda", "tensorrt", "openvino"]], Field(min_length=1)] = ["cpu"]
    """Execution providers in order of preference; missing ones are logged and skipped."""
    intra_op_threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads inside one inference. 1 leaves the other cores to decoding and recording."""
    require_signatures: bool = False
    """true: only bundles that are signed with one of public_keys are loaded, imported or promoted."""
    public_keys: list[FilePath] = []
    """Public keys (PEM, from ``qc models keygen``) whose signatures count."""

    @model_validator(mode="after")
    def _keys(self) -> Self:
        if self.require_signatures and not self.public_keys:
            raise ValueError("require_signatures needs at least one file in public_keys")
        return self


class RecipesSettings(Section):
    """The product variants that this line can run."""

    directory: FilePath
    """Folder of recipe files, one per variant."""
    active: Name
    """The variant at start; later changeovers are remembered in the record store."""


class StorageSettings(Section):
    """Records, outbox and images on disk."""

    directory: FilePath
    """Folder of the record database and the images; created when missing."""
    synchronous: Literal["full", "normal"] = "full"
    """full: a recorded verdict survives power loss. normal: faster, the last ones may be lost with the power."""
    image_budget_mb: Positive = 2000.0
    """Images are kept up to this many megabytes; OK images go first."""
    min_free_mb: Positive = 500.0
    """Images are dropped before the disk has less free space than this."""
    ok_share: Share = 0.02
    """Share of OK parts whose image is kept; every NG and REVIEW image is."""
    ok_max_age_days: Positive = 14.0
    ng_max_age_days: Positive = 180.0
    image_format: Literal["png", "jpeg"] = "png"
    """png is lossless (for retraining); jpeg (quality 95) is a fifth of the size."""
    outbox_limit_mb: Positive = 500.0
    """Undelivered events are kept up to this many megabytes."""
    outbox_max_age_days: Positive = 30.0
    sent_keep_days: Positive = 7.0
    """Delivered events stay this long for replay."""


class TlsSettings(Section):
    """TLS towards the broker. Give cert_file and key_file for mutual TLS."""

    ca_file: FilePath | None = None
    """CA certificates; default: the system's."""
    cert_file: FilePath | None = None
    key_file: FilePath | None = None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        return self


class MqttSettings(Section):
    """The broker. The password comes from QC_MQTT_PASSWORD or a credential file, never from here."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    username: str = ""
    password: SecretStr = Field(default=SecretStr(""), exclude=True)
    client_id: str = ""
    """Default: qc-<site>-<area>-<line>-<edge>."""
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    tls: TlsSettings | None = None
    """Present (even empty): connect with TLS."""
    home_assistant: bool = False
    """Publish Home Assistant discovery messages."""


class HttpSettings(Section):
    """Health, metrics, API and console."""

    enabled: bool = True
    host: str = "127.0.0.1"
    """Loopback by default. Any other address needs TLS files or behind_proxy."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0 takes a free port and logs it."""
    tls_cert_file: FilePath | None = None
    tls_key_file: FilePath | None = None
    behind_proxy: bool = False
    """true: a reverse proxy in front does TLS."""
    anonymous_viewer: bool = True
    """Let people look without logging in, while the console listens on loopback only; acting always needs a login."""
    session_hours: Positive = 12.0
    """A login to the console ends after this many hours."""
    broker_websocket_url: Annotated[str, Field(pattern=r"^(wss?://[^/@\s\"';,]+(/[^\s\"';,]*)?)?$")] = ""
    """The broker's WebSocket listener (ws://host:port or wss://host:port) for the page that shows several edges; empty: no such page."""

    @model_validator(mode="after")
    def _exposed_only_safely(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file belong together")
        exposed = self.host not in ("127.0.0.1", "::1", "localhost")
        if exposed and self.tls_cert_file is None and not self.behind_proxy:
            raise ValueError(f"listening on {self.host} needs tls_cert_file and tls_key_file, or behind_proxy = true")
        return self


class ShiftSettings(Section):
    """One shift of the day; it lasts until the next one starts."""

    name: Name
    start: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    """Local start time, HH:MM."""


class SamplingLineSettings(Section):
    """Who gets labelled; how many is said in each recipe."""

    enabled: bool = True
    timezone: str = "UTC"
    shifts: Annotated[list[ShiftSettings], Field(min_length=1)] = [
        ShiftSettings(name="early", start="06:00"),
        ShiftSettings(name="late", start="14:00"),
        ShiftSettings(name="night", start="22:00"),
    ]
    ticket_hours: Positive = 72.0
    """A label request expires after this many hours; until then its image is kept."""
    defect_types: list[Annotated[str, Field(min_length=1, max_length=60)]] = []
    """Allowed defect types of a label; empty: any text."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{name!r} is no IANA time zone such as Europe/Berlin") from None
        return name


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class WeeklyStopSettings(Section):
    """A planned stop of every week, in local time: what is seen during it raises no alarm of the monitor."""

    weekday: Weekday
    start: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    """Local start time, HH:MM."""
    hours: Annotated[float, Field(gt=0.0, le=168.0)]
    reason: Annotated[str, Field(min_length=1)] = "planned stop"


class PlannedStopSettings(Section):
    """A planned stop on a date."""

    start: AwareDatetime
    """With its offset, for example 2026-12-24T14:00:00+01:00."""
    end: AwareDatetime
    reason: Annotated[str, Field(min_length=1)] = "planned stop"


class MonitoringSettings(Section):
    """What the alarms hold the line against: a contract's floor or a lower confidence bound, never a baseline's point estimate."""

    enabled: bool = True
    detection_floor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.90
    """Evidence that the detection rate fell below this raises an alarm."""
    false_positive_ceiling: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.10
    """Evidence that the false-positive rate rose above this raises an alarm."""
    prevalence_ceiling: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Evidence that more parts than this are really defective raises an alarm (a process change, not the model)."""
    lot_parts: Annotated[int, Field(ge=50, le=10_000)] = 250
    """Parts that are compared with the reference together; on a slow line fewer, so that a lot does not take days."""
    reference_lots: Annotated[int, Field(ge=20, le=1000)] = 40
    """Lots of a healthy start from which the monitor learns what is normal; until then its input alarms say nothing."""
    weekly_stops: list[WeeklyStopSettings] = []
    planned_stops: list[PlannedStopSettings] = []


class LoggingSettings(Section):
    """Structured logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"
    """auto: text on a terminal, JSON elsewhere."""


class LineSettings(Section):
    """Everything that one edge process needs to know."""

    edge: EdgeSettings
    cameras: Annotated[list[CameraSettings], Field(min_length=1)]
    models: ModelsSettings
    recipes: RecipesSettings
    storage: StorageSettings
    mqtt: MqttSettings = MqttSettings()
    http: HttpSettings = HttpSettings()
    sampling: SamplingLineSettings = SamplingLineSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    logging: LoggingSettings = LoggingSettings()

    @field_validator("cameras")
    @classmethod
    def _unique_ids(cls, cameras: list[CameraSettings]) -> list[CameraSettings]:
        ids = [camera.id for camera in cameras]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"camera ids must differ; used twice: {', '.join(twice)}")
        return cameras

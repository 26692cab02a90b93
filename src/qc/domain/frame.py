"""What a camera gives: frames, shots (one trigger each) and faults."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8 in [0, 255], channels in BGR order. This is the only colour order in the code."""


class CameraFault(StrEnum):
    """Why a camera's frame (or its absence) cannot be judged. Deterministic; never a production halt."""

    NO_FRAME = "no_frame"
    """The camera is disconnected or gave nothing for the trigger in time."""
    UNREADABLE = "unreadable"
    """The item is not an image, is empty, or is too large to decode safely."""
    TRUNCATED = "truncated"
    """The image data ends early."""
    WRONG_SIZE = "wrong_size"
    FROZEN = "frozen"
    """The same content came again and again, to the bit."""
    BLACK = "black"
    SATURATED = "saturated"
    OUT_OF_FOCUS = "out_of_focus"


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """Cheap features of the whole frame, computed once per frame on a reduced grey copy.

    brightness: mean grey in [0, 255]. contrast: standard deviation of grey. focus: variance of the
    Laplacian (grey levels squared). noise: robust sigma of the high-pass residual (grey levels).
    colour: mean (R - B) in [-255, 255]; 0 for a grey image.
    """

    brightness: float
    contrast: float
    focus: float
    noise: float
    colour: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    pixels: (H, W, 3) uint8, BGR. captured_ns: monotonic clock, for latency. captured_at: UTC wall time,
    for people. number: counts the frames of this source from 0. dropped_before: frames of the source
    that were discarded between the previous delivered frame and this one.
    """

    pixels: Pixels
    camera_id: str
    number: int
    captured_ns: int
    captured_at: datetime
    dropped_before: int = 0
    part_id: str | None = None
    """Set when the source knows it (a file's name); otherwise the trigger assigns one."""
    source_ref: str = ""
    """Where the picture came from: file name, URL without credentials."""
    camera_timestamp_ns: int | None = None
    """The camera's own clock, when it has one; not comparable with captured_ns."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One trigger and what the camera gave for it: a frame, or the fault that stands in its place.

    Exactly one verdict is issued for every shot. A faulty frame keeps its pixels for the archive.
    """

    part_id: str
    camera_id: str
    triggered_ns: int
    triggered_at: datetime
    frame: Frame | None
    quality: ImageQuality | None = None
    fault: CameraFault | None = None
    fault_detail: str = ""
    dropped_before: int = 0
    source_ref: str = ""
    """As in Frame; also set when there is no frame (a file that cannot be read), so that the record can name the file."""


class CameraState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    """Not reachable; reconnecting."""
    ENDED = "ended"
    """A finite source gave everything it had."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What a frame source counted since it was made.

    frames: delivered to the reader. dropped: taken from the camera but discarded (replaced by a newer one, too old, corrupt).
    bad: items delivered as BadImage. reconnects: connections made after the first. hung: reader threads given up because
    the library below did not return.
    """

    state: CameraState
    frames: int = 0
    dropped: int = 0
    bad: int = 0
    reconnects: int = 0
    hung: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """Telemetry of one camera: its source, its trigger and how often it was at fault.

    triggers: shots asked for. faults: shots that carry a fault. missed_triggers: free-run ticks that passed while nobody
    asked for a shot; they have no shot. discarded: frames captured before their trigger or before the resume.
    """

    camera_id: str
    source: SourceStatus
    paused: bool
    triggers: int
    faults: int
    missed_triggers: int
    discarded: int

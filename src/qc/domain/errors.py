"""Every error that qc raises on purpose. Foreign exceptions are translated into these once, at the border.

QcError
├── ConfigError          a settings or recipe file is wrong (names file, key, what is allowed)
├── CameraError
│   ├── CameraLost       the connection is gone; the source reconnects by itself
│   ├── BadImage         this one item cannot be decoded or is unfit; the source goes on
│   └── EndOfStream      a finite source has nothing more to give
├── BundleError          a model bundle is incomplete, altered, unsafe or does not reproduce its golden vectors
├── ReleaseError         a step of a model's release was refused (registry, gate, canary)
├── InspectionError      the model failed on one part
├── StoreError           the record store cannot do what was asked
│   └── UnknownPart      no such part, event or ticket
├── PublishError         a message or the broker connection is at fault
├── CommandError         an operator's or integrator's command was refused (code + message)
├── LabelError           a human label was refused
├── SamplingError        a sampling plan or request is impossible or inconsistent
├── EvaluationError      the arrays given to an estimator are inconsistent
├── DatasetError         a training data set is unusable
└── TrainingError        training or export failed
"""

from qc.domain.frame import CameraFault


class QcError(Exception):
    """Base of all errors that carry a message meant for a person."""


class ConfigError(QcError):
    """A settings or recipe file is wrong; the message names file, key and what would be right."""


class CameraError(QcError):
    """A frame source cannot deliver."""


class CameraLost(CameraError):
    """The connection to the camera is gone; the source keeps trying to reconnect."""


class BadImage(CameraError):
    """One item cannot be used (truncated, not an image, decompression bomb); the source goes on with the next.

    ``part_id`` and ``source_ref`` tell which item it was, so that the part still gets its verdict; ``fault`` is
    that verdict's cause.
    """

    def __init__(
        self,
        message: str,
        *,
        part_id: str | None = None,
        source_ref: str = "",
        fault: CameraFault = CameraFault.UNREADABLE,
    ) -> None:
        super().__init__(message)
        self.part_id = part_id
        self.source_ref = source_ref
        self.fault = fault


class EndOfStream(CameraError):
    """A finite source (replayed folder, video file) is exhausted."""


class BundleError(QcError):
    """A model bundle must not be used; the message says which check failed and what to do."""


class ReleaseError(QcError):
    """A step of a model's release was refused; the running model is untouched. The message says why and what would be right."""


class InspectionError(QcError):
    """The model failed on one part; the part becomes NOT_INSPECTED."""


class StoreError(QcError):
    """The record store cannot do what was asked; nothing recorded is lost."""


class UnknownPart(StoreError):
    """No record has this part id, event id or ticket."""


class PublishError(QcError):
    """A message cannot be built or the broker refuses the connection."""


class CommandError(QcError):
    """A command was refused. ``code`` is one of the documented error codes of the command reference."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LabelError(QcError):
    """A human label was refused; nothing was stored. ``code`` is one of the codes in docs/labelling.md."""

    def __init__(self, message: str, *, code: str = "label_refused") -> None:
        super().__init__(message)
        self.code = code


class SamplingError(QcError):
    """A sampling plan or a request for one is impossible or inconsistent; the message says why."""


class EvaluationError(QcError):
    """The arrays given to an estimator are inconsistent (shape, range, missing probabilities)."""


class DatasetError(QcError):
    """A training data set is unusable; the message names the files and the remedy."""


class TrainingError(QcError):
    """Training, calibration or export failed; no half-written bundle is left behind."""

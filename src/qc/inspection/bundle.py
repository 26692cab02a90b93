"""A model bundle on disk: ``<model_id>/`` with ``model.onnx`` and ``card.json``. Nothing in it is trusted before it is checked.

Everything is read once into memory and checked there; the session is built from those very bytes, so a file that changes
between check and use changes nothing.
"""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from qc.domain.errors import BundleError
from qc.domain.model import ModelCard
from qc.inspection.card import card_to_json, check_card, load_card, parse_card
from qc.inspection.graph import check_graph

__all__ = ["Bundle", "load_card", "verify_bundle", "write_bundle"]

MODEL_FILE = "model.onnx"
CARD_FILE = "card.json"
MAX_MODEL_BYTES = 512 * 1024 * 1024
MAX_CARD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that passed every check that needs no run: card and the model's bytes, hash proven."""

    card: ModelCard
    model: bytes


def write_bundle(directory: Path, model: bytes, card: ModelCard) -> ModelCard:
    """Write ``directory`` (named like card.model_id) completely or not at all; returns the card with its final sha256.

    A bundle is immutable: an existing directory is refused. Everything that verify_bundle would refuse is refused here too.
    Raises BundleError.
    """
    card = replace(card, sha256=hashlib.sha256(model).hexdigest())
    check_card(card, "card")
    _check_name(directory, card)
    check_graph(model, card)
    if directory.exists() or directory.is_symlink():
        raise BundleError(f"{directory}: exists already and bundles are immutable; choose another model_id")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        # The hidden neighbour is removed in every case; after the rename there is nothing left to remove.
        with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent, ignore_cleanup_errors=True) as part:
            _fill(Path(part), model, card)
            Path(part).rename(directory)
        _sync(directory.parent)
    except OSError as error:
        raise BundleError(f"{directory}: cannot be written ({error.strerror}); check disk space and permissions") from error
    return card


def _fill(part: Path, model: bytes, card: ModelCard) -> None:
    part.chmod(0o755)  # made private by tempfile, but the service that reads it is another user
    for name, content in ((MODEL_FILE, model), (CARD_FILE, card_to_json(card).encode())):
        with (part / name).open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _sync(part)


def verify_bundle(directory: Path) -> Bundle:
    """Check names, files, card, hash and graph; golden vectors are checked by ``session.load_inspector``, which runs them.

    Raises BundleError whose message says which check failed and what to do.
    """
    _check_files(directory)
    card = parse_card(_read(directory / CARD_FILE, MAX_CARD_BYTES), str(directory / CARD_FILE))
    _check_name(directory, card)
    model = _read(directory / MODEL_FILE, MAX_MODEL_BYTES)
    digest = hashlib.sha256(model).hexdigest()
    if digest != card.sha256:
        raise BundleError(
            f"{directory / MODEL_FILE}: SHA-256 is {digest}, the card says {card.sha256}: "
            "altered or incomplete; copy the bundle again from where it was trained"
        )
    check_graph(model, card)
    return Bundle(card, model)


def _check_name(directory: Path, card: ModelCard) -> None:
    if directory.name != card.model_id:
        raise BundleError(f"{directory}: the directory must be named like model_id {card.model_id!r} of its card")


def _check_files(directory: Path) -> None:
    """A bundle is a plain directory of plain files: no links, devices or folders through which it could reach outside."""
    try:
        if not stat.S_ISDIR(directory.lstat().st_mode):
            raise BundleError(f"{directory}: must be a directory, not a link or file; copy the bundle itself")
        for path in directory.iterdir():
            if not stat.S_ISREG(path.lstat().st_mode):
                raise BundleError(f"{path}: a bundle holds plain files only, no links or folders; remove it")
    except OSError as error:
        raise BundleError(f"{directory}: cannot be read ({error.strerror}); check model_id and the model directory") from error


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        # O_NOFOLLOW and O_NONBLOCK: a link or pipe put there after the check above is still refused, without waiting.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BundleError(f"{path}: must be a plain file")
            # The size first, so that a huge file costs no memory; then the content, which may have grown.
            content = file.read(limit_bytes + 1) if os.fstat(file.fileno()).st_size <= limit_bytes else None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); copy the complete bundle again") from error
    if content is None or len(content) > limit_bytes:
        raise BundleError(f"{path}: larger than the allowed {limit_bytes} bytes")
    return content


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A bundle as one file: a ZIP with ``<model_id>/`` and its plain files. Nothing in a received archive is believed.

What is read is bounded before and while it is unpacked; names may hold no path; whatever is no plain file is refused. The unpacked
bundle then passes every check of a bundle (hash, graph without external data and custom operators, golden vectors) before anybody sees it.
"""

import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qc.domain.errors import BundleError
from qc.inspection.bundle import CARD_FILE, MAX_CARD_BYTES, MAX_MODEL_BYTES, MODEL_FILE, verify_bundle
from qc.inspection.card import MODEL_ID
from qc.release.durable import sync_folder
from qc.release.signing import MAX_FILES

MAX_OTHER_BYTES = 64 * 1024 * 1024
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNPACKING = ".unpacking-"


def export_bundle(directory: Path, archive: Path) -> None:
    """Write the bundle as one file, whole or not at all; the same bundle gives the same bytes. Raises BundleError."""
    card = verify_bundle(directory).card
    unfinished = archive.with_name(f".{archive.name}.part")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as out:
            for path in sorted(directory.iterdir()):
                out.writestr(zipfile.ZipInfo(f"{card.model_id}/{path.name}"), path.read_bytes(), zipfile.ZIP_DEFLATED)
        unfinished.replace(archive)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BundleError(f"{archive}: cannot be written ({error.strerror})") from error


@contextmanager
def unpacked_bundle(archive: Path, beside: Path) -> Iterator[Path]:
    """The archive's bundle, unpacked into a hidden folder of ``beside`` and flushed to disk; removed at the end unless moved.

    Raises BundleError naming what is wrong with the archive; nothing is left behind then.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=_UNPACKING, dir=beside))
    except OSError as error:
        raise BundleError(f"{beside}: cannot be written ({error.strerror})") from error
    try:
        yield _unpack(archive, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(directory: Path) -> None:
    """Folders that a killed import left behind."""
    for path in directory.glob(f"{_UNPACKING}*"):
        shutil.rmtree(path, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(archive) as source:
            members = source.infolist()
            model_id = _check_members(archive, members)
            bundle = folder / model_id
            bundle.mkdir(mode=0o755)
            for member in members:
                _write(archive, source, member, bundle / member.filename.partition("/")[2])
        sync_folder(bundle)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise BundleError(f"{archive}: is no sound model archive ({error}); export it again") from error
    except OSError as error:
        raise BundleError(f"{archive}: cannot be unpacked ({error.strerror or error})") from error
    return bundle


def _check_members(archive: Path, members: list[zipfile.ZipInfo]) -> str:
    if not 2 <= len(members) <= MAX_FILES:
        raise BundleError(f"{archive}: holds {len(members)} files; a bundle has 2 to {MAX_FILES}")
    folders = {member.filename.partition("/")[0] for member in members}
    model_id = next(iter(folders))
    if len(folders) != 1 or MODEL_ID.fullmatch(model_id) is None:
        raise BundleError(f"{archive}: must hold one folder named like the model id, not {sorted(folders)[:3]}")
    names = [member.filename.partition("/")[2] for member in members]
    if len({name.lower() for name in names}) != len(names):
        raise BundleError(f"{archive}: holds a file name twice")
    for member, name in zip(members, names, strict=True):
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or member.is_dir():
            raise BundleError(f"{archive}: {member.filename[:100]!r} is no plain file; links, folders and devices are refused")
        if _FILE_NAME.fullmatch(name) is None or ".." in name:
            raise BundleError(f"{archive}: {member.filename[:100]!r} is no plain file name; paths are refused")
        if member.flag_bits & 0x1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(f"{archive}: {name!r} is encrypted or packed in an unknown way; export it again")
        if member.file_size > _limit(name):
            raise BundleError(f"{archive}: {name!r} would have {member.file_size} bytes, at most {_limit(name)} are allowed")
    return model_id


def _write(archive: Path, source: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """The size in the archive's list is a claim: what really comes out is bounded as well."""
    left_bytes = min(_limit(path.name), member.file_size)
    with source.open(member) as packed, path.open("xb") as file:
        while chunk := packed.read(1 << 20):
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise BundleError(f"{archive}: {path.name!r} unpacks to more bytes than it says; refused")
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _limit(name: str) -> int:
    return {MODEL_FILE: MAX_MODEL_BYTES, CARD_FILE: MAX_CARD_BYTES}.get(name, MAX_OTHER_BYTES)

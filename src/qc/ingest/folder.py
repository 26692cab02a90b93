"""Replay a folder of pictures: once or in a loop, in the order of the names or in a given order."""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from qc.domain.errors import BadImage, CameraLost
from qc.domain.ports import Clock
from qc.ingest.decode import DEFAULT_MAX_MEGAPIXELS, SUFFIXES, read_image
from qc.ingest.lossless import Item, LosslessSource, Picture


class FolderReplay(LosslessSource):
    """Every picture of the folder, sorted by name; hidden files, directories and other endings are left out.

    files: exactly these instead, in this order (absolute, or relative to the folder). The part id is the file name without
    its ending; for files in sub-folders the path with ``-`` (``good/007.png`` -> ``good-007``). In a loop the same
    parts come again under the same ids.
    """

    def __init__(
        self,
        camera_id: str,
        folder: Path,
        *,
        loop: bool = False,
        files: Sequence[Path | str] | None = None,
        max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
        clock: Clock | None = None,
        poll_s: float = 0.2,
    ) -> None:
        super().__init__(camera_id, clock=clock, poll_s=poll_s)
        self._folder = folder
        self._loop = loop
        self._files = None if files is None else [folder / file for file in files]
        self._max_megapixels = max_megapixels

    def _items(self) -> Iterator[Item]:
        paths = yield from self._listing()
        while paths:
            for path in paths:
                yield load(path, part_id_of(path, self._folder), str(path), self._max_megapixels)
            if not self._loop:
                return

    def _listing(self) -> Generator[Item, None, list[Path]]:
        if self._files is not None:
            return self._files
        while True:
            try:
                return sorted(path for path in self._folder.iterdir() if is_picture_name(path.name) and not path.is_dir())
            except OSError as error:
                yield CameraLost(f"folder {self._folder}: {error.strerror or error}")


def is_picture_name(name: str) -> bool:
    """False for hidden names, other endings, and the usual names of files that are still being written."""
    stem, _, suffix = name.rpartition(".")
    return (
        "." + suffix.lower() in SUFFIXES
        and not stem.startswith((".", "~"))
        and not stem.endswith((".tmp", ".part"))
        and stem != ""
    )


def part_id_of(path: Path, folder: Path) -> str:
    relative = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
    return "-".join(relative.with_suffix("").parts)


def load(path: Path, part_id: str, source_ref: str, max_megapixels: float) -> Picture | BadImage:
    """The decoded file, or why it cannot be used, under the given names."""
    try:
        return Picture(read_image(path, max_megapixels=max_megapixels), part_id, source_ref)
    except BadImage as error:
        named = BadImage(str(error), part_id=part_id, source_ref=source_ref, fault=error.fault)
        named.__cause__ = error.__cause__
        return named

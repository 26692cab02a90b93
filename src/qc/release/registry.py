"""The model directory as a registry: immutable bundles and one index of what runs where.

Several processes (line, CLI, tools) may use one registry: a change happens under a file lock, on the index as it is on disk, and only
after the model concerned has been proven: signature, files, graph, golden vectors. A kill at any point leaves the old index
or the new one, and both name active models whose bundles are complete.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydantic import ValidationError

from qc.domain.errors import BundleError, ReleaseError
from qc.domain.model import ModelCard
from qc.inspection.bundle import load_card
from qc.inspection.session import Runtime
from qc.release import transitions
from qc.release.archive import remove_leftovers, unpacked_bundle
from qc.release.durable import sync_folder, write_durably
from qc.release.index import Index, RecipeState, Seen, Slot
from qc.release.loading import load_trusted
from qc.release.report import GateReport
from qc.release.signing import Manifest, TrustedKeys, signed_manifest
from qc.release.transitions import By

log = structlog.get_logger(__name__)

INDEX_FILE = "registry.json"
_LOCK_FILE = ".registry.lock"
_REPORTS = ".gates"
_TRASH = ".trash-"

Change = Callable[[Index, datetime], Index]


class Registry:
    """keys: trusted public keys where signatures are required, None where unsigned bundles may run. now: UTC."""

    def __init__(
        self,
        directory: Path,
        *,
        keys: TrustedKeys | None = None,
        runtime: Runtime | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.directory = directory
        self.keys = keys
        self._runtime = runtime
        self._now = now

    # --- looking ------------------------------------------------------------------------------------------

    def index(self) -> Index:
        """As it stands on disk; empty when there is none yet. Raises ReleaseError for a damaged file, which is never overwritten."""
        path = self.directory / INDEX_FILE
        try:
            return Index.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Index()
        except (OSError, ValidationError) as error:
            raise ReleaseError(
                f"{path}: cannot be read as a registry index ({str(error).splitlines()[0]}); restore it from a backup, or move it "
                "away: the recipes' own models are then registered again"
            ) from error

    def state(self, variant: str) -> RecipeState | None:
        return self.index().recipes.get(variant)

    def models(self) -> list[str]:
        """Ids of the bundles that are there; hidden folders (unfinished imports, reports) are none."""
        if not self.directory.is_dir():
            return []
        return sorted(path.name for path in self.directory.iterdir() if path.is_dir() and not path.name.startswith("."))

    def card(self, model_id: str) -> ModelCard:
        """Raises BundleError."""
        return load_card(self.path(model_id) / "card.json")

    def path(self, model_id: str) -> Path:
        """Raises BundleError for an id that is not there."""
        if model_id not in self.models():
            raise BundleError(f"no model {model_id!r} in {self.directory}; there are {', '.join(self.models()) or 'none'}")
        return self.directory / model_id

    def lineage(self, model_id: str) -> list[str]:
        """The model and its ancestors as far as they are here, youngest first."""
        found = [model_id]
        while (parent := self.card(found[-1]).parent) is not None and parent in self.models() and parent not in found:
            found.append(parent)
        return found

    def slot(self, model_id: str, review_at: float | None = None, reject_at: float | None = None) -> Slot:
        """The model with these thresholds, or with those of its card. Raises BundleError."""
        card = self.card(model_id)
        return Slot(
            model=model_id,
            sha256=card.sha256,
            review_at=card.review_at if review_at is None else review_at,
            reject_at=card.reject_at if reject_at is None else reject_at,
        )

    def prove(self, model_id: str) -> ModelCard:
        """Every check that a line would make, golden vectors and (where required) the signature included. Raises BundleError."""
        return load_trusted(self.path(model_id), self._runtime, self.keys).card

    # --- steps --------------------------------------------------------------------------------------------

    def register(self, variant: str, slot: Slot, by: By) -> None:
        self._change(lambda index, at: transitions.register(index, variant, slot, by, at), slot)

    def shadow(self, variant: str, slot: Slot | None, by: By, *, share: float = 1.0) -> None:
        self._change(lambda index, at: transitions.shadow(index, variant, slot, by, at, share=share), slot)

    def canary(self, variant: str, slot: Slot, by: By, *, share: float, until: datetime | None = None) -> None:
        """The gate is asked at the promotion; whoever starts a canary without a passed report takes its risk to the line."""
        self._change(lambda index, at: transitions.canary(index, variant, slot, by, at, share=share, until=until), slot)

    def canary_passed(self, variant: str, by: By) -> None:
        self._change(lambda index, at: transitions.canary_passed(index, variant, by, at))

    def promote(self, variant: str, slot: Slot, by: By, *, override: bool = False) -> None:
        """Raises ReleaseError unless a gate report passed this very pair, or override is set by somebody with a reason."""

        def step(index: Index, at: datetime) -> Index:
            active = transitions.state_of(index, variant).active
            transitions.other_than_active(variant, active, slot)
            report = self.passed_report(slot, active, variant)
            if report is None and not override:
                raise ReleaseError(
                    f"{variant}: no passed gate report for {slot.model} against {active.model} with these "
                    "thresholds; run tools/gate.py, or override it with your name and a reason"
                )
            if report is None and not (by.who.strip() and by.why.strip()):
                raise ReleaseError("an override of the gate needs a name and a reason")
            return transitions.promote(index, variant, slot, by, at, gate=report or "", override=report is None)

        self._change(step, slot)

    def rollback(self, variant: str, by: By) -> None:
        """End the canary, or go back to the previous model, which is proven first."""

        def step(index: Index, at: datetime) -> Index:
            after = transitions.rollback(index, variant, by, at)
            if after.recipes[variant].active != index.recipes[variant].active:
                self._prove_slot(after.recipes[variant].active)
            return after

        self._change(step)

    def fallback(self, variant: str, by: By) -> None:
        """The previous model takes the place of an active one that cannot be loaded."""

        def step(index: Index, at: datetime) -> Index:
            after = transitions.fallback(index, variant, by, at)
            self._prove_slot(after.recipes[variant].active)
            return after

        self._change(step)

    # --- gate reports -------------------------------------------------------------------------------------

    def add_report(self, report: GateReport) -> Path:
        """Raises ReleaseError when it cannot be written."""
        folder = self.directory / _REPORTS
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ReleaseError(f"{folder}: cannot be written ({error.strerror}); a registry needs that") from error
        path = folder / report.file_name
        write_durably(path, report.model_dump_json(indent=1).encode())
        return path

    def reports(self, model_id: str) -> list[GateReport]:
        """Oldest first. Raises ReleaseError for a damaged file."""
        found = []
        for path in sorted((self.directory / _REPORTS).glob(f"{model_id}--*.json")):
            try:
                found.append(GateReport.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                raise ReleaseError(f"{path}: no gate report ({str(error).splitlines()[0]}); run the gate again") from error
        return found

    def passed_report(self, candidate: Slot, incumbent: Slot, variant: str) -> str | None:
        """File name of the newest report on this pair when it passed; a later FAIL takes an earlier PASS back."""
        about = [
            report
            for report in self.reports(candidate.model)
            if report.candidate == candidate and report.incumbent == incumbent and variant in report.variants
        ]
        return about[-1].file_name if about and about[-1].proves(candidate, incumbent, variant) else None

    # --- bundles in and out -------------------------------------------------------------------------------

    def import_archive(self, archive: Path) -> str:
        """Take a bundle in; returns its model id. Raises BundleError or ReleaseError; nothing has changed then.

        The signature's sequence is remembered before the bundle appears, so that a kill in between cannot make room for a replay.
        """
        with self._locked(), unpacked_bundle(archive, self.directory) as unpacked:
            model_id, target = unpacked.name, self.directory / unpacked.name
            if target.exists() or target.is_symlink():
                raise BundleError(f"{target}: exists already and bundles are immutable; a changed model needs a new model_id")
            manifest = signed_manifest(unpacked)
            load_trusted(unpacked, self._runtime, self.keys)
            if self.keys is not None and manifest is not None:
                self._write(_with_signature(self.index(), manifest))
            unpacked.rename(target)
            sync_folder(self.directory)
        log.info("model_imported", model_id=model_id)
        return model_id

    def gc(self, *, in_use: set[str], keep: int = 2) -> list[str]:
        """Remove bundles that no recipe names, but the ``keep`` newest of them; returns their ids. in_use: models of recipe files."""
        with self._locked():
            remove_leftovers(self.directory)
            for trash in self.directory.glob(f"{_TRASH}*"):
                shutil.rmtree(trash, ignore_errors=True)
            named = self.index().named() | in_use
            idle = [model for model in self.models() if model not in named]
            idle.sort(key=lambda model: (self.directory / model).stat().st_mtime_ns)
            gone = idle[: max(0, len(idle) - keep)]
            for model in gone:
                # First out of sight in one step: a kill must not leave half a bundle under its name.
                (self.directory / model).rename(self.directory / f"{_TRASH}{model}")
                shutil.rmtree(self.directory / f"{_TRASH}{model}", ignore_errors=True)
        return gone

    # --- one change at a time -----------------------------------------------------------------------------

    def _change(self, change: Change, slot: Slot | None = None) -> None:
        with self._locked():
            if slot is not None:
                self._prove_slot(slot)
            self._write(change(self.index(), self._now()))

    def _prove_slot(self, slot: Slot) -> None:
        card = self.prove(slot.model)
        if card.sha256 != slot.sha256:
            raise ReleaseError(f"model {slot.model} is another one than asked for (SHA-256 {card.sha256[:12]})")

    def _write(self, index: Index) -> None:
        write_durably(self.directory / INDEX_FILE, (index.model_dump_json(indent=1) + "\n").encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ReleaseError(f"{self.directory}: cannot be written ({error.strerror}); a registry needs that") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _with_signature(index: Index, manifest: Manifest) -> Index:
    """Refuse a signature that is older than one already seen for this model or for a variant of it."""
    files = hashlib.sha256(manifest.model_dump_json().encode()).hexdigest()
    known = index.seen.get(manifest.model_id)
    older = (
        known is not None and (manifest.sequence, files) != (known.sequence, known.files) and manifest.sequence <= known.sequence
    )
    late = [variant for variant in manifest.variants if manifest.sequence < index.newest.get(variant, 0)]
    if older or late:
        raise BundleError(
            f"model {manifest.model_id}: its signature is older than one seen before for "
            f"{'this model' if older else f'variant {late[0]}'}: an old release played again; sign it anew if it is really wanted"
        )
    newest = {**index.newest, **dict.fromkeys(manifest.variants, manifest.sequence)}
    seen = {**index.seen, manifest.model_id: Seen(sequence=manifest.sequence, files=files)}
    return index.model_copy(update={"newest": newest, "seen": seen})

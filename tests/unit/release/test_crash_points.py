"""A kill at every single step of every transition: the registry always names a working active model, and the history fits it.

An audit hook sees every file operation of the process (open, rename, remove ...) just before it happens; fsync, which has no audit
event, is seen through the opens around it. From the k-th operation inside the registry's folder on nothing happens any more, as after kill -9.
"""

import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.release.conftest import BY, T0, make_bundle

from qc.inspection.bundle import verify_bundle
from qc.release.archive import export_bundle
from qc.release.index import Index
from qc.release.registry import Registry
from qc.release.signing import load_keys, sign_bundle

CHANGING = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "os.chmod"}


class Killed(BaseException):
    """No ``except Exception`` may survive a kill."""


class Killer:
    """Counts operations below ``folder`` and lets none through from the ``at``-th on. Audit hooks can never be removed: it idles."""

    def __init__(self) -> None:
        self.folder = ""
        self.at = 0
        self.seen = 0

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if not self.folder or event not in CHANGING or not str(args[0]).startswith(self.folder):
            return
        self.seen += 1
        if self.seen >= self.at:
            raise Killed


KILLER = Killer()
sys.addaudithook(KILLER)

STEPS: dict[str, Callable[[Registry], object]] = {
    "shadow": lambda r: r.shadow("cell", r.slot("two"), BY, share=0.5),
    "shadow-stop": lambda r: r.shadow("cell", None, BY),
    "canary": lambda r: r.canary("cell", r.slot("three"), BY, share=0.1, until=T0 + timedelta(hours=1)),
    "canary-passed": lambda r: r.canary_passed("cell", BY),
    "promote": lambda r: r.promote("cell", r.slot("three"), BY, override=True),
    "rollback": lambda r: r.rollback("cell", BY),
    "register": lambda r: r.register("other", r.slot("two"), BY),
    "fallback": lambda r: r.fallback("cell", BY),
    "gc": lambda r: r.gc(in_use=set(), keep=0),
    "import": lambda r: r.import_archive(r.directory.parent / "new.zip"),
}
BEFORE: dict[str, tuple[str, ...]] = {
    "shadow-stop": ("shadow",),
    "canary-passed": ("canary",),
    "promote": ("shadow", "canary"),
    "rollback": ("promote",),
    "fallback": ("promote",),
}


def working(registry: Registry) -> Index:
    """Every slot's bundle passes every check, and the last step recorded for a recipe is the one that made its state."""
    index = registry.index()
    assert index.recipes["cell"].active.model in registry.models()
    for state in index.recipes.values():
        for slot in state.slots():
            assert verify_bundle(registry.path(slot.model)).card.sha256 == slot.sha256
    assert [step.number for step in index.history] == list(range(1, len(index.history) + 1))
    for model in registry.models():
        verify_bundle(registry.path(model))  # nothing half-written under a model's name
    return index


@pytest.mark.parametrize("name", STEPS)
def test_a_kill_at_any_point_leaves_the_old_state_or_the_new_one(name: str, registry: Registry, tmp_path: Path) -> None:
    make_bundle(tmp_path / "elsewhere", "new")
    export_bundle(tmp_path / "elsewhere" / "new", tmp_path / "new.zip")
    for earlier in BEFORE.get(name, ()):
        STEPS[earlier](registry)
    before, after = working(registry), None
    reference = tmp_path / "reference"
    shutil.copytree(registry.directory, reference)
    killed = 0
    for at in range(1, 200):
        shutil.rmtree(registry.directory)
        shutil.copytree(reference, registry.directory)
        KILLER.folder, KILLER.at, KILLER.seen = str(registry.directory), at, 0
        try:
            STEPS[name](registry)
        except Killed:
            killed += 1
        else:
            KILLER.folder = ""
            after = working(registry)
            break
        finally:
            KILLER.folder = ""
        found = working(registry)
        assert found == before or len(found.history) == len(before.history) + 1
        if found == before and (name != "import" or "new" not in registry.models()):
            STEPS[name](registry)  # whoever comes next can do it, leftovers or not
            working(registry)
    assert after is not None, "the step never completed"
    assert killed >= 5, f"only {killed} kill points were seen"
    assert name in ("gc", "import") or after.history[-1].action == name


def test_a_kill_during_an_import_cannot_make_room_for_a_replay(
    signed_registry: Registry, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signed_registry.directory.mkdir()
    archives = []
    for sequence in (100, 200):
        folder = tmp_path / str(sequence)
        make_bundle(folder, "m", limits=(f"signed at {sequence}",))
        sign_bundle(folder / "m", keys[0], sequence=sequence)
        archives.append(tmp_path / f"{sequence}.zip")
        export_bundle(folder / "m", archives[-1])
    old, new = archives
    again = Registry(signed_registry.directory, keys=load_keys([keys[1]]), now=lambda: T0)
    points = 0
    for at in range(1, 200):
        shutil.rmtree(signed_registry.directory)
        signed_registry.directory.mkdir()
        KILLER.folder, KILLER.at, KILLER.seen = str(signed_registry.directory), at, 0
        try:
            signed_registry.import_archive(new)
        except Killed:
            points += 1
        else:
            break
        finally:
            KILLER.folder = ""
        if "m" in again.index().seen:
            with pytest.raises(Exception, match=r"older than one seen before|exists already"):
                again.import_archive(old)
            if "m" not in again.models():
                again.import_archive(new)  # the interrupted import can be taken up again
        else:
            assert "m" not in again.models()
    assert points >= 8

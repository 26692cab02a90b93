"""Bundles on disk: written whole or not at all, and nothing in one is trusted."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qc.domain.errors import BundleError
from qc.inspection import bundle
from qc.inspection.bundle import MAX_CARD_BYTES, MAX_MODEL_BYTES, verify_bundle, write_bundle
from qc.inspection.tiny import tiny_model_bytes, write_tiny_bundle


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "models")
    return tmp_path / "models" / "tiny"


def edit_card(directory: Path, **values: object) -> None:
    path = directory / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_written_bundle_verifies(tiny: Path):
    checked = verify_bundle(tiny)
    assert checked.model == tiny_model_bytes()
    assert checked.card.sha256 == hashlib.sha256(tiny_model_bytes()).hexdigest()
    assert sorted(path.name for path in tiny.iterdir()) == ["card.json", "model.onnx"]
    assert sorted(path.name for path in tiny.parent.iterdir()) == ["tiny"]
    assert tiny.stat().st_mode & 0o777 == 0o755


def test_an_existing_bundle_is_never_overwritten(tiny: Path):
    card = verify_bundle(tiny).card
    before = (tiny / "card.json").read_bytes()
    with pytest.raises(BundleError, match="immutable"):
        write_bundle(tiny, tiny_model_bytes(), replace(card, review_at=0.1))
    assert (tiny / "card.json").read_bytes() == before


def test_a_refused_bundle_leaves_nothing_behind(tiny: Path):
    card = verify_bundle(tiny).card
    for model, wrong, message in [
        (b"not onnx", replace(card, model_id="other"), "not an ONNX file"),
        (tiny_model_bytes(), replace(card, model_id="other", review_at=2.0), "review_at"),
        (tiny_model_bytes(), replace(card, model_id="another"), "must be named like"),
        (tiny_model_bytes(), replace(card, model_id="other", golden=()), "golden"),
    ]:
        with pytest.raises(BundleError, match=message):
            write_bundle(tiny.parent / "other", model, wrong)
    assert [path.name for path in tiny.parent.iterdir()] == ["tiny"]


def test_a_directory_that_cannot_be_written_is_an_error_with_its_name(tiny: Path):
    (tiny.parent / "file").write_text("")
    card = replace(verify_bundle(tiny).card, model_id="x")
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(tiny.parent / "file" / "x", tiny_model_bytes(), card)


def test_a_disk_that_fills_up_half_way_leaves_nothing_behind(tmp_path: Path):
    # A file-size limit is the full disk that a test can have; in a process of its own, because it cannot be lifted again.
    code = (
        "import resource, sys; from pathlib import Path; from qc.inspection.tiny import write_tiny_bundle\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))\n"
        "write_tiny_bundle(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60)
    assert "BundleError" in done.stderr
    assert "tiny: cannot be written (File too large); check disk space" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_tampered_model_is_refused(tiny: Path):
    content = bytearray((tiny / "model.onnx").read_bytes())
    content[-1] ^= 1
    (tiny / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"SHA-256.*copy the bundle again"):
        verify_bundle(tiny)


def test_a_truncated_model_is_refused(tiny: Path):
    (tiny / "model.onnx").write_bytes((tiny / "model.onnx").read_bytes()[:-10])
    with pytest.raises(BundleError, match="SHA-256"):
        verify_bundle(tiny)


@pytest.mark.parametrize("name", ["model.onnx", "card.json"])
def test_a_missing_file_is_named(tiny: Path, name: str):
    (tiny / name).unlink()
    with pytest.raises(BundleError, match=name):
        verify_bundle(tiny)


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "extra.bin"])
def test_a_symlink_is_refused_even_to_the_right_content(tiny: Path, tmp_path: Path, name: str):
    outside = tmp_path / "outside"
    outside.write_bytes((tiny / name).read_bytes() if (tiny / name).exists() else b"secret")
    (tiny / name).unlink(missing_ok=True)
    (tiny / name).symlink_to(outside)
    with pytest.raises(BundleError, match="no links"):
        verify_bundle(tiny)


def test_a_symlink_that_appears_after_the_check_is_refused(tiny: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(tiny / "model.onnx")
    with pytest.raises(BundleError, match="cannot be read"):
        bundle._read(tmp_path / "link", MAX_MODEL_BYTES)


def test_a_pipe_is_refused_without_waiting(tiny: Path, tmp_path: Path):
    os.mkfifo(tiny / "pipe")
    with pytest.raises(BundleError, match="plain files"):
        verify_bundle(tiny)
    with pytest.raises(BundleError, match="plain file"):
        bundle._read(tiny / "pipe", MAX_CARD_BYTES)


def test_a_linked_bundle_directory_is_refused(tiny: Path):
    (tiny.parent / "alias").symlink_to(tiny)
    with pytest.raises(BundleError, match="not a link"):
        verify_bundle(tiny.parent / "alias")


def test_a_folder_inside_is_refused(tiny: Path):
    (tiny / "more").mkdir()
    with pytest.raises(BundleError, match="no links or folders"):
        verify_bundle(tiny)


def test_an_absent_bundle_says_what_to_check(tmp_path: Path):
    with pytest.raises(BundleError, match="check model_id"):
        verify_bundle(tmp_path / "nothing")


@pytest.mark.parametrize("model_id", ["../tiny", "other", "/etc", "tiny/."])
def test_a_card_that_names_another_place_is_refused(tiny: Path, model_id: str):
    edit_card(tiny, model_id=model_id)
    with pytest.raises(BundleError, match="model_id"):
        verify_bundle(tiny)


@pytest.mark.parametrize(("name", "limit"), [("card.json", MAX_CARD_BYTES), ("model.onnx", MAX_MODEL_BYTES)])
def test_a_huge_file_is_refused_before_it_is_used(tiny: Path, name: str, limit: int):
    os.truncate(tiny / name, limit + 1)  # sparse: takes no disk
    with pytest.raises(BundleError, match=rf"{name}: larger than the allowed"):
        verify_bundle(tiny)


def test_a_plain_extra_file_such_as_a_signature_is_allowed(tiny: Path):
    (tiny / "manifest.sig").write_bytes(b"x")
    verify_bundle(tiny)

"""Malicious bundles and archives are refused, and the active model is untouched."""

import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from tests.unit.release.conftest import BY, make_bundle

from qc.domain.errors import BundleError, QcError
from qc.inspection.tiny import tiny_model_bytes
from qc.release import archive as archives
from qc.release.archive import export_bundle
from qc.release.registry import Registry
from qc.release.signing import SIGNATURE_FILE, load_keys, make_keys, sign_bundle

Members = dict[str, bytes]


def members_of(tmp_path: Path, model_id: str = "new", **card: object) -> Members:
    make_bundle(tmp_path / "made", model_id, **card)
    return {f"{model_id}/{path.name}": path.read_bytes() for path in (tmp_path / "made" / model_id).iterdir()}


def pack(path: Path, members: Members, **attributes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes.get(name.rpartition("/")[2].replace(".", "_"), 0)
            info.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(info, content)
    return path


def refused(registry: Registry, path: Path, reason: str) -> None:
    before, models = registry.index(), registry.models()
    with pytest.raises(QcError, match=reason):
        registry.import_archive(path)
    assert registry.index() == before
    assert registry.models() == models
    assert [p for p in registry.directory.iterdir() if p.name.startswith(".unpacking")] == []
    if before.recipes:
        registry.prove(before.recipes["cell"].active.model)


def test_what_is_exported_comes_in_again(registry: Registry, tmp_path: Path) -> None:
    export_bundle(registry.directory / "two", tmp_path / "a.zip")
    export_bundle(registry.directory / "two", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    other = Registry(tmp_path / "other")
    assert other.import_archive(tmp_path / "a.zip") == "two"
    assert other.prove("two") == registry.prove("two")
    refused(other, tmp_path / "a.zip", "exists already")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.txt", "one folder"),
        ("/etc/evil.txt", "one folder"),
        ("new/../evil.txt", "plain file name"),
        ("new/sub/evil.txt", "plain file name"),
        ("new/..\\evil.txt", "plain file name"),
        ("new/.hidden", "plain file name"),
        ("new/Model.ONNX", "twice"),
        ("new/", "no plain file"),
        ("other/evil.txt", "one folder"),
    ],
)
def test_paths_are_refused(registry: Registry, tmp_path: Path, name: str, reason: str) -> None:
    refused(registry, pack(tmp_path / "a.zip", {**members_of(tmp_path), name: b""}), reason)
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR])
def test_links_and_devices_are_refused(registry: Registry, tmp_path: Path, kind: int) -> None:
    members = {**members_of(tmp_path), "new/notes.txt": b"/etc/passwd"}
    refused(registry, pack(tmp_path / "a.zip", members, notes_txt=(kind | 0o777) << 16), "no plain file")


def test_a_file_that_says_it_is_too_large_is_refused(registry: Registry, tmp_path: Path) -> None:
    members = {**members_of(tmp_path), "new/card.json": b" " * (archives.MAX_CARD_BYTES + 1)}
    refused(registry, pack(tmp_path / "a.zip", members), "at most 1048576 are allowed")


def test_a_bomb_that_lies_about_its_size_is_refused(registry: Registry, tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {**members_of(tmp_path), "new/notes.txt": b"\0" * 50_000_000})
    raw = bytearray(path.read_bytes())
    size = (50_000_000).to_bytes(4, "little")
    while (at := raw.find(size)) >= 0:  # both headers now claim a thousand bytes
        raw[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(raw)
    refused(registry, path, "unpacks to more|no sound model archive")


def test_too_many_files_are_refused(registry: Registry, tmp_path: Path) -> None:
    members = {**members_of(tmp_path), **{f"new/{number}.txt": b"" for number in range(100)}}
    refused(registry, pack(tmp_path / "a.zip", members), "holds 102 files")


def external_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def custom_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "evil.corp"


@pytest.mark.parametrize(("spoil", "reason"), [(external_data, "external data"), (custom_operator, r"evil\.corp")])
def test_evil_graphs_are_refused(
    registry: Registry, tmp_path: Path, spoil: Callable[[onnx.ModelProto], None], reason: str
) -> None:
    members = members_of(tmp_path)
    model = onnx.load_model_from_string(tiny_model_bytes())
    spoil(model)
    members["new/model.onnx"] = model.SerializeToString()
    refused(registry, pack(tmp_path / "a.zip", _with_true_hash(members)), reason)


def _with_true_hash(members: Members) -> Members:
    import hashlib

    card = json.loads(members["new/card.json"])
    card["sha256"] = hashlib.sha256(members["new/model.onnx"]).hexdigest()
    return {**members, "new/card.json": json.dumps(card).encode()}


def test_a_tampered_hash_and_broken_parity_are_refused(registry: Registry, tmp_path: Path) -> None:
    members = members_of(tmp_path)
    refused(registry, pack(tmp_path / "a.zip", {**members, "new/model.onnx": tiny_model_bytes(kind="contrast")}), "SHA-256")
    other = _with_true_hash({**members, "new/model.onnx": tiny_model_bytes(kind="contrast")})
    refused(registry, pack(tmp_path / "b.zip", other), "golden vector")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x1f\x8b", io.BytesIO().getvalue() + b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_archive_is_refused(registry: Registry, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    refused(registry, tmp_path / "a.zip", "no sound model archive|holds 0 files")


def test_a_torn_archive_is_refused_at_every_length(registry: Registry, tmp_path: Path) -> None:
    whole = pack(tmp_path / "a.zip", members_of(tmp_path)).read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 25)):
        (tmp_path / "b.zip").write_bytes(whole[:length])
        refused(registry, tmp_path / "b.zip", "a.zip|b.zip")


# --- signatures ---------------------------------------------------------------------------------------------


def signed(tmp_path: Path, private: Path, model_id: str = "new", sequence: int = 100, **card: object) -> Path:
    """A signed archive; its bundle is at tmp_path/made/<sequence>/<model_id>."""
    folder = tmp_path / "made" / str(sequence)
    make_bundle(folder, model_id, **card)
    sign_bundle(folder / model_id, private, sequence=sequence)
    export_bundle(folder / model_id, tmp_path / f"{model_id}-{sequence}.zip")
    return tmp_path / f"{model_id}-{sequence}.zip"


def test_a_signed_bundle_comes_in_and_an_unsigned_one_does_not(
    signed_registry: Registry, tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    assert signed_registry.import_archive(signed(tmp_path, keys[0])) == "new"
    signed_registry.register("cell", signed_registry.slot("new"), BY)
    refused(signed_registry, pack(tmp_path / "u.zip", members_of(tmp_path, "unsigned")), "is not signed")


def test_the_wrong_key_is_refused(signed_registry: Registry, tmp_path: Path) -> None:
    signed_registry.directory.mkdir()
    make_keys(tmp_path / "evil.key", tmp_path / "evil.pub")
    refused(signed_registry, signed(tmp_path, tmp_path / "evil.key"), "trusted are")


def test_altered_and_added_files_are_refused(signed_registry: Registry, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    signed_registry.directory.mkdir()
    signed(tmp_path, keys[0])
    folder = tmp_path / "made" / "100" / "new"
    members = {f"new/{path.name}": path.read_bytes() for path in folder.iterdir()}
    card = json.loads(members["new/card.json"])
    card["reject_at"] = 1.0
    refused(
        signed_registry, pack(tmp_path / "a.zip", {**members, "new/card.json": json.dumps(card).encode()}), "not the signed file"
    )
    refused(signed_registry, pack(tmp_path / "b.zip", {**members, "new/notes.txt": b"x"}), "'notes.txt' is not signed")
    body = json.loads(members[f"new/{SIGNATURE_FILE}"])
    body["manifest"] = body["manifest"].replace('"sequence":100', '"sequence":999')
    refused(signed_registry, pack(tmp_path / "c.zip", {**members, f"new/{SIGNATURE_FILE}": json.dumps(body).encode()}), "altered")


def test_a_signature_of_another_bundle_is_refused(signed_registry: Registry, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    signed_registry.directory.mkdir()
    signed(tmp_path, keys[0], "good")
    members = members_of(tmp_path, "evil")
    members[f"evil/{SIGNATURE_FILE}"] = (tmp_path / "made" / "100" / "good" / SIGNATURE_FILE).read_bytes()
    refused(signed_registry, pack(tmp_path / "a.zip", members), "is for model 'good'")


def test_an_old_signature_played_again_is_refused(signed_registry: Registry, tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """For the same model id after a gc, and for another model of the same variant."""
    old = signed(tmp_path, keys[0], "new", 100, limits=("weak",))
    new = signed(tmp_path, keys[0], "new", 200)
    other = signed(tmp_path, keys[0], "other", 150)
    signed_registry.import_archive(new)
    refused(signed_registry, other, "older than one seen before for variant cell")
    assert signed_registry.gc(in_use=set(), keep=0) == ["new"]
    refused(signed_registry, old, "older than one seen before for this model")
    signed_registry.import_archive(new)  # the newest itself may come again
    sign_bundle(tmp_path / "made" / "150" / "other", keys[0], sequence=300)
    export_bundle(tmp_path / "made" / "150" / "other", tmp_path / "again.zip")
    assert signed_registry.import_archive(tmp_path / "again.zip") == "other"


def test_a_line_that_requires_signatures_runs_nothing_else(registry: Registry, keys: tuple[Path, Path]) -> None:
    strict = Registry(registry.directory, keys=load_keys([keys[1]]))
    with pytest.raises(BundleError, match="is not signed"):
        strict.promote("cell", strict.slot("two"), BY, override=True)
    sign_bundle(registry.directory / "two", keys[0])
    strict.promote("cell", strict.slot("two"), BY, override=True)


def test_keys_are_never_overwritten_and_the_private_one_is_private(keys: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    with pytest.raises(BundleError, match="never overwritten"):
        make_keys(*keys)
    with pytest.raises(BundleError, match="no public key"):
        load_keys([keys[0]])

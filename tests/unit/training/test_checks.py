"""Each fault that is planted in a generated set is named, with its file; a sound set is quiet."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from qc.domain.errors import DatasetError
from qc.training.checks import Severity, check_dataset
from qc.training.checks.findings import sentence
from qc.training.checks.page import write_page
from qc.training.checks.privacy import packaged_face_finder
from qc.training.dataset import read_dataset


@pytest.fixture
def sound(on_disk):
    for seed in range(30):
        on_disk.good(f"g{seed}", seed, split="train" if seed < 20 else "test")
    for seed in range(40, 54):
        on_disk.defect(f"d{seed}", seed, split="train" if seed < 50 else "test")
    return on_disk


def check(on_disk, **options):
    return check_dataset(read_dataset(on_disk.done(), allow_missing=True), workers=2, **options)


def named(report):
    return {f.code: f for f in report.findings}


def files(report, code):
    return {item.file for item in named(report)[code].items}


def test_a_sound_set_has_no_errors_and_no_warnings(sound):
    report = check(sound)
    assert report.errors == ()
    assert [f.code for f in report.warnings] == []
    report.raise_for_errors()


def test_unreadable_files_are_told_apart(sound):
    sound.good("gone", 100).unlink()
    sound.good("text", 101).write_bytes(b"hello")
    cut = sound.root / "images/good/cut.jpg"
    cv2.imwrite(str(cut), cv2.imread(str(sound.root / "images/good/g1.png")))
    cut.write_bytes(cut.read_bytes()[:-200])
    sound.rows.append("images/good/cut.jpg,good,,,a,,,,")

    report = check(sound)

    assert files(report, "missing") == {"images/good/gone.png"}
    assert files(report, "undecodable") == {"images/good/text.png"}
    assert files(report, "truncated") == {"images/good/cut.jpg"}
    with pytest.raises(DatasetError, match=r"cut\.jpg.*Remedy: "):
        report.raise_for_errors()


def replaced(on_disk, name, seed, change):
    path = on_disk.good(name, seed)
    cv2.imwrite(str(path), change(cv2.imread(str(path))))
    return f"images/good/{name}.png"


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("blurred", lambda p: cv2.GaussianBlur(p, (0, 0), 6)),
        ("under_exposed", lambda p: (p * 0.02).astype(np.uint8)),
        ("over_exposed", lambda p: np.clip(p.astype(int) + 150, 0, 255).astype(np.uint8)),
        ("brightness", lambda p: (p * 0.6).astype(np.uint8)),
        ("even", lambda p: np.full_like(p, 120)),
        ("aspect", lambda p: cv2.resize(p, (96, 96))),
        ("size", lambda p: cv2.resize(p, (256, 192))),
        ("tiny", lambda p: cv2.resize(p, (1, 1))),
        ("colour_mode", lambda p: cv2.cvtColor(p, cv2.COLOR_BGR2GRAY)),
    ],
)
def test_odd_pictures(sound, code, change):
    name = replaced(sound, "odd", 77, change)
    assert files(check(sound), code) == {name}


def test_exif_rotation_and_position(sound):
    path = sound.root / "images/good/phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    Image.open(sound.root / "images/good/g2.png").save(path, exif=exif)
    sound.rows.append("images/good/phone.jpg,good,,,a,,,,")
    report = check(sound)
    assert files(report, "exif_rotation") == {"images/good/phone.jpg"}
    assert files(report, "position_in_exif") == {"images/good/phone.jpg"}


def test_one_picture_with_two_labels_stops_training(sound):
    path = sound.defect("twin", 0, masked=False)
    path.write_bytes((sound.root / "images/good/g3.png").read_bytes())
    report = check(sound)
    assert files(report, "two_labels") == {"images/good/g3.png", "images/scratch/twin.png"}
    assert named(report)["two_labels"].severity is Severity.ERROR


def test_a_template_beside_its_damaged_part_is_no_label_error(on_disk, pictures):
    for seed in range(12):
        on_disk.good(f"t{seed}", seed, group=f"part{seed}")
        on_disk.defect(f"d{seed}", seed, group=f"part{seed}")
    report = check(on_disk)
    assert not {"two_labels", "near_copies_with_two_labels"} & set(named(report))


def test_masks_that_do_not_fit(sound, pictures):
    sound.defect("small", 60)
    pictures.save(sound.root / "masks/scratch/small.png", np.full((10, 10), 255, np.uint8))
    sound.defect("empty", 61)
    pictures.save(sound.root / "masks/scratch/empty.png", np.zeros((96, 128), np.uint8))
    sound.defect("inverted", 62)
    pictures.save(sound.root / "masks/scratch/inverted.png", np.full((96, 128), 255, np.uint8))
    sound.defect("none", 63, masked=False)
    sound.defect("lost", 64)
    (sound.root / "masks/scratch/lost.png").unlink()
    sound.defect("broken", 65)
    (sound.root / "masks/scratch/broken.png").write_bytes(b"no mask")
    sound.defect("outside", 66, masked=False)
    sound.rows[-1] += "120 90 50 50"
    sound.good("marked", 67)
    sound.rows[-1] = "images/good/marked.png,good,,masks/scratch/d40.png,a,,,,"

    report = check(sound)

    problems = {item.file.rpartition("/")[2]: item.note for item in named(report)["mask_does_not_fit"].items}
    assert problems == {
        "small.png": "the mask has 10 x 10 pixels, the picture 128 x 96",
        "lost.png": "the mask file is missing",
        "broken.png": "the mask cannot be decoded",
        "outside.png": "box 120 90 50 50 leaves the picture (128 x 96 pixels)",
    }
    assert files(report, "mask_empty") == {"images/scratch/empty.png"}
    assert files(report, "mask_on_good") == {"images/good/marked.png"}
    assert files(report, "mask_too_large") == {"images/scratch/inverted.png"}
    assert files(report, "mask_missing") == {"images/scratch/none.png"}


def test_swapped_labels_are_suspected_first(sound):
    for seed in (200, 201):
        path = sound.good(f"swapped{seed}", seed)
        path.write_bytes(sound.defect(f"x{seed}", seed).read_bytes())
        sound.rows.pop()
    suspects = named(check(sound))["label_suspects"]
    assert {i.file for i in suspects.items[:3]} >= {"images/good/swapped200.png", "images/good/swapped201.png"}
    assert suspects.items[0].note.startswith("labelled good")


def test_copies_across_splits(sound):
    sound.good("again", 0, split="test").write_bytes((sound.root / "images/good/g1.png").read_bytes())
    resaved = sound.root / "images/good/resaved.jpg"
    cv2.imwrite(str(resaved), cv2.imread(str(sound.root / "images/good/g5.png")))
    sound.rows.append("images/good/resaved.jpg,good,,,a,,,test,")
    report = check(sound)
    assert files(report, "exact_copies_across_splits") == {"images/good/again.png", "images/good/g1.png"}
    assert files(report, "near_copies_across_splits") == {"images/good/resaved.jpg", "images/good/g5.png"}
    assert named(report)["exact_copies_across_splits"].severity is Severity.ERROR


def test_groups_on_both_sides_and_one_part_under_two_names(on_disk):
    for seed in range(30):
        on_disk.good(f"g{seed}", seed, group=f"run{seed // 3}", split="train" if seed < 16 else "test")
    resaved = on_disk.root / "images/good/resaved.jpg"
    cv2.imwrite(str(resaved), cv2.imread(str(on_disk.root / "images/good/g2.png")))
    on_disk.rows.append("images/good/resaved.jpg,good,,,a,,run99,train,")
    report = check(on_disk)
    assert files(report, "group_across_splits") == {f"images/good/g{i}.png" for i in (15, 16, 17)}
    assert files(report, "near_copies_across_groups") == {"images/good/resaved.jpg", "images/good/g2.png"}


def test_balance_and_representation(on_disk):
    for seed in range(40):
        on_disk.good(f"g{seed}", seed, group=f"p{seed}")
    on_disk.defect("only", 50, group="p50")
    on_disk.good("other", 51, variant="b")
    codes = named(check(on_disk))
    assert {"few_good", "few_defects", "uneven", "few_parts", "groups_incomplete", "one_image_per_group"} <= set(codes)
    assert "1 good pictures" in codes["few_good"].message


@pytest.mark.parametrize(("kind", "code", "severity"), [("good", "no_defects", "warning"), ("defect", "no_good", "error")])
def test_one_class(on_disk, kind, code, severity):
    for seed in range(25):
        getattr(on_disk, kind)(f"x{seed}", seed)
    assert named(check(on_disk))[code].severity.value == severity


def test_a_file_property_that_gives_the_label_away(on_disk, pictures):
    for seed in range(30):
        on_disk.good(f"g{seed}", seed)
        picture, _ = pictures.scratched(pictures.part(100 + seed))
        cv2.imwrite(str(pictures.save(on_disk.root / f"images/scratch/d{seed}.jpg", picture)), picture)
        on_disk.rows.append(f"images/scratch/d{seed}.jpg,defect,scratch,,a,,,,")
    found = [f for f in check(on_disk).findings if f.code == "shortcut"]
    assert [f.message.split(" alone")[0] for f in found] == ["The file format"]


def test_production_pictures_that_the_set_does_not_show(sound, tmp_path, pictures):
    for seed in range(300, 320):
        pictures.save(tmp_path / f"line/{seed}.png", pictures.part(seed))
    for seed in range(5):
        pictures.save(tmp_path / f"line/new{seed}.png", 255 - pictures.part(seed, variant=2))
    codes = named(check(sound, production=tmp_path / "line"))
    novel = codes["production_coverage"]
    assert {f"new{seed}.png" for seed in range(5)} == {i.file.rpartition("/")[2] for i in novel.items[:5]}
    assert novel.severity is Severity.WARNING
    assert codes["production_brightness"].severity is Severity.WARNING


def test_an_embedding_may_be_passed_in(sound):
    calls = []

    def embed(batch):
        calls.append(len(batch))
        return np.array([[p.max(), p.mean()] for p in batch], dtype=np.float32)

    check(sound, embed=embed)
    assert sum(calls) == 44
    assert max(calls) <= 16


def test_faces_are_reported_with_their_number(sound):
    report = check(sound, faces=lambda pixels: int(pixels[0, 0, 0] % 2))
    assert 0 < named(report)["faces"].count < 44
    assert packaged_face_finder() is None or callable(packaged_face_finder())


def test_everything_unreadable_is_a_report_and_not_a_crash(on_disk):
    for seed in range(3):
        on_disk.good(f"g{seed}", seed).write_bytes(b"")
    report = check(on_disk)
    assert named(report)["undecodable"].count == 3


@pytest.mark.parametrize("shape", [(1, 1), (4000, 5000)])
def test_extreme_sizes_are_read(sound, pictures, shape):
    path = pictures.save(sound.root / "images/good/extreme.png", np.full((*shape, 3), 90, np.uint8))
    sound.rows.append(f"images/good/{path.name},good,,,a,,,,")
    assert "undecodable" not in named(check(sound))


def test_json_and_page_hold_everything_and_nothing_from_outside(sound, tmp_path):
    name = replaced(sound, "<b>&odd", 77, lambda p: cv2.GaussianBlur(p, (0, 0), 6))
    sound.good("gone", 1).unlink()
    report = check(sound)
    as_json = json.loads(json.dumps(report.to_json()))
    assert as_json["ok"] is False
    assert as_json["images"] == 46
    assert name in {f["file"] for found in as_json["findings"] for f in found["files"]}
    write_page(report, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in page
    assert "&lt;b&gt;&amp;odd" in page
    assert "<b>&odd" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert all(sentence(f).startswith(f.message) for f in report.findings)
    with pytest.raises(DatasetError, match="cannot be written"):
        write_page(report, tmp_path / "no/such/r.html")

"""Reading data sets: layouts, manifests, and errors that name the line."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qc.domain.errors import DatasetError
from qc.training.boxes import Box, boxes_to_mask, format_boxes, parse_boxes
from qc.training.dataset import Dataset, Sample, read_dataset, read_image, read_mask, write_manifest


def manifest(root: Path, text: str, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    path = root / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_mvtec_folders(tmp_path, pictures):
    root = tmp_path / "bolt"
    good = pictures.part(1)
    bad, mask = pictures.scratched(good)
    pictures.save(root / "train/good/000.png", good)
    pictures.save(root / "test/good/000.png", good)
    pictures.save(root / "test/crack/000.png", bad)
    pictures.save(root / "ground_truth/crack/000_mask.png", mask)

    rows = {(s.split, s.label, s.defect): s for s in read_dataset(root)}

    assert set(rows) == {("train", "good", ""), ("test", "good", ""), ("test", "defect", "crack")}
    assert rows["test", "defect", "crack"].variant == "bolt"
    found = read_mask(rows["test", "defect", "crack"])
    assert found is not None
    assert np.array_equal(found, mask > 0)
    assert read_mask(rows["train", "good", ""]) is None


def test_masks_in_a_folder_are_joined(tmp_path, pictures):
    root = tmp_path / "bolt"
    pictures.save(root / "train/good/0.png", pictures.part(1))
    pictures.save(root / "test/logical/7.png", pictures.part(2))
    one, two = np.zeros((96, 128), np.uint8), np.zeros((96, 128), np.uint8)
    one[:10], two[-5:] = 1, 200
    pictures.save(root / "ground_truth/logical/7/000.png", one)
    pictures.save(root / "ground_truth/logical/7/001.png", two)

    mask = read_mask(read_dataset(root).in_split("test").samples[0])

    assert mask is not None
    assert mask.sum() == 15 * 128


@pytest.mark.parametrize(
    ("good", "defect", "kind"),
    [("good", "defect", "defect"), ("OK", "NG", "defect"), ("normal", "abnormal/hole", "hole"), ("good", "crack", "crack")],
)
def test_plain_folders(tmp_path, pictures, good, defect, kind):
    pictures.save(tmp_path / "p" / good / "1.png", pictures.part(1))
    pictures.save(tmp_path / "p" / defect / "2.png", pictures.part(2))

    assert [(s.label, s.defect, s.variant) for s in sorted(read_dataset(tmp_path / "p"), key=lambda s: s.image.stem)] == [
        ("good", "", "p"),
        ("defect", kind, "p"),
    ]


def test_one_folder_per_product_becomes_variants(tmp_path, pictures):
    for product in ("bolt", "nut"):
        pictures.save(tmp_path / product / "good/1.png", pictures.part(1))
    assert read_dataset(tmp_path).variants == ("bolt", "nut")


def test_images_folder_without_manifest(tmp_path, pictures):
    bad, mask = pictures.scratched(pictures.part(2))
    pictures.save(tmp_path / "lid/images/good/1.png", pictures.part(1))
    pictures.save(tmp_path / "lid/images/dent/2.png", bad)
    pictures.save(tmp_path / "lid/masks/dent/2.png", mask)
    dataset = read_dataset(tmp_path / "lid")
    assert [(s.variant, s.mask is not None) for s in sorted(dataset, key=lambda s: s.label)] == [("lid", True), ("lid", False)]


def test_a_folder_without_any_layout_says_what_is_expected(tmp_path, pictures):
    pictures.save(tmp_path / "1.png", pictures.part(1))
    with pytest.raises(DatasetError, match=r"manifest\.csv, or folders train/good"):
        read_dataset(tmp_path)
    with pytest.raises(DatasetError, match="no such file or folder"):
        read_dataset(tmp_path / "nowhere")


def test_empty_sets_are_refused(tmp_path):
    (tmp_path / "good").mkdir()
    with pytest.raises(DatasetError, match="empty"):
        read_dataset(tmp_path)
    with pytest.raises(DatasetError, match="empty"):
        read_dataset(manifest(tmp_path, "image,label\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label,varient\na.png,good,x\n", "unknown column 'varient'; did you mean 'variant'"),
        ("image,defect\na.png,\n", "column 'label' is missing"),
        ("image,label\na.png,maybe\n", "line 2: label 'maybe' is neither good nor defect"),
        ("image,label,defect\na.png,good,crack\n", "line 2: the label is good, yet defect says 'crack'"),
        ("image,label\n../a.png,good\n", "line 2: image '../a.png' lies outside"),
        ("image,label\n/etc/passwd,good\n", "lies outside"),
        ("image,label,mask\na.png,defect,../../m.png\n", "mask '../../m.png' lies outside"),
        ("image,label\na.png,good\na.png,defect\n", r"line 3: a\.png stands already in line 2 with the label good"),
        ("image,label\na.png,good\nb/../a.png,good\n", "keep one line"),
        ("image,label,split\na.png,good,holdout\n", "split 'holdout' is not one of train, val, test"),
        ("image,label,boxes\na.png,defect,1 2 3\n", "line 2: box '1 2 3' is not 'x y width height'"),
        ("image,label,boxes\na.png,defect,1 2 0 3\n", "has no area"),
        ("image,label\na.png\n", "line 2: this line has more or fewer fields"),
        ("image,label\n,good\n", "the column image is empty"),
        ("", "column 'image' is missing"),
    ],
)
def test_manifest_errors_name_the_place(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read_dataset(manifest(tmp_path, text, "a.png"))


def test_missing_files_are_counted_and_named(tmp_path):
    path = manifest(tmp_path, "image,label\na.png,good\nb.png,good\nc.png,good\n", "b.png")
    with pytest.raises(DatasetError, match=r"2 files are missing below .*: a\.png, c\.png"):
        read_dataset(path)
    assert len(read_dataset(path, allow_missing=True)) == 3


def test_not_a_text_file(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DatasetError, match="UTF-8 CSV"):
        read_dataset(path)


def test_boxes_become_a_mask(on_disk, pictures):
    path = on_disk.defect("d", 3, masked=False)
    on_disk.rows[-1] = on_disk.rows[-1] + "2 3 10 4; -5 90 10 20"
    sample = read_dataset(on_disk.done()).samples[0]
    mask = read_mask(sample)
    assert mask is not None
    assert mask.shape == read_image(sample).shape[:2]
    assert mask.sum() == 40 + 5 * 6
    assert path == sample.image


def test_manifest_round_trip_with_another_root(on_disk, tmp_path):
    on_disk.good("g", 1, group="run1", split="val")
    on_disk.defect("d", 2)
    dataset = read_dataset(on_disk.done())
    elsewhere = tmp_path / "splits.csv"
    write_manifest(dataset, elsewhere)
    assert read_dataset(elsewhere, root=dataset.root) == dataset


def test_writing_to_nowhere_is_a_clear_error(on_disk, tmp_path):
    on_disk.good("g", 1)
    with pytest.raises(DatasetError, match="cannot be written"):
        write_manifest(read_dataset(on_disk.done()), tmp_path / "no/such/folder.csv")


def test_content_hash_follows_pixels_and_labels(on_disk):
    path = on_disk.good("g", 1)
    on_disk.defect("d", 2)
    dataset = read_dataset(on_disk.done())
    before = dataset.content_hash()
    assert before == read_dataset(on_disk.root).content_hash()
    cv2.imwrite(str(path), read_image(dataset.samples[1]))
    assert dataset.content_hash() != before


def test_unreadable_pictures_name_the_file(on_disk):
    on_disk.good("g", 1).write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"g\.png"):
        read_image(read_dataset(on_disk.done()).samples[0])


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(variant=texts, environment=texts, group=texts, boxes=st.lists(st.builds(Box, *[st.integers(1, 999)] * 4), max_size=3))
def test_any_text_survives_the_manifest(tmp_path, variant, environment, group, boxes):
    sample = Sample(tmp_path / "a,b.png", "defect", "crack", None, variant, environment, group, "train", tuple(boxes))
    sample.image.write_bytes(b"x")
    dataset = Dataset(tmp_path, (sample,))
    write_manifest(dataset, tmp_path / "manifest.csv")
    assert read_dataset(tmp_path) == dataset


@given(boxes=st.lists(st.builds(Box, *[st.integers(1, 40)] * 4), max_size=4))
def test_box_text_round_trip_and_area(boxes):
    assert parse_boxes(format_boxes(boxes)) == tuple(boxes)
    assert boxes_to_mask(boxes, 100, 100).sum() <= sum(b.width * b.height for b in boxes)

"""Importing strips metadata and keeps pixels; merging leaves copies out and keeps groups."""

import os

import cv2
import numpy as np
import pytest
from PIL import Image

from qc.domain.errors import DatasetError
from qc.training.dataset import read_dataset, read_image, read_mask
from qc.training.importing import import_dataset, merge_datasets, strip_jpeg_metadata


def phone_picture(path, picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker of the phone"
    exif.get_ifd(0x8825)[1] = "N"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture[:, :, ::-1]).save(path, exif=exif, quality=90, comment=b"taken by somebody")


@pytest.mark.parametrize(("orientation", "suffix"), [(1, ".jpg"), (6, ".png")])
def test_metadata_goes_and_pixels_stay(tmp_path, pictures, orientation, suffix):
    phone_picture(tmp_path / "src/good/a.jpg", pictures.part(1), orientation)
    source = read_dataset(tmp_path / "src")
    sample = import_dataset(source, tmp_path / "out").dataset.samples[0]
    data = sample.image.read_bytes()
    assert sample.image.suffix == suffix
    assert b"Exif" not in data
    assert b"Maker" not in data
    assert b"somebody" not in data
    assert np.array_equal(read_image(sample), read_image(source.samples[0]))


def test_boxes_become_masks_and_the_result_reads_back(on_disk, tmp_path):
    on_disk.good("g", 1, group="run1", split="val")
    on_disk.defect("d", 2)
    on_disk.defect("boxed", 3, masked=False)
    on_disk.rows[-1] += "5 6 7 8"
    source = read_dataset(on_disk.done())
    imported = import_dataset(source, tmp_path / "out")
    again = read_dataset(tmp_path / "out")
    assert again == imported.dataset
    for old, new in zip(source, again, strict=True):
        assert (old.label, old.group, old.split) == (new.label, new.group, new.split)
        before, after = read_mask(old), read_mask(new)
        assert (before is None and after is None) or np.array_equal(before, after)


def test_unusable_pictures_are_listed(on_disk, tmp_path, pictures):
    on_disk.good("g", 1)
    bad = on_disk.good("bad", 2)
    bad.write_bytes(b"nothing")
    on_disk.defect("d", 3)
    pictures.save(on_disk.root / "masks/scratch/d.png", np.zeros((3, 3), np.uint8))
    imported = import_dataset(read_dataset(on_disk.done()), tmp_path / "out")
    assert [s.image.name for s in imported.dataset] == ["g.png"]
    assert {path.name for path, _ in imported.left_out} == {"bad.png", "d.png"}


def test_names_never_collide(on_disk, tmp_path, pictures):
    for folder in ("x", "y"):
        pictures.save(on_disk.root / folder / "same.png", pictures.part(1 if folder == "x" else 2))
        on_disk.rows.append(f"{folder}/same.png,good,,,../v,,,,")
    imported = import_dataset(read_dataset(on_disk.done()), tmp_path / "out").dataset
    assert len({s.image for s in imported}) == 2
    assert all(s.image.is_relative_to(tmp_path / "out") for s in imported)


def test_nothing_is_overwritten_and_nothing_half_written_stays(on_disk, tmp_path):
    on_disk.good("g", 1)
    dataset = read_dataset(on_disk.done())
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").write_text("x")
    with pytest.raises(DatasetError, match="is there already"):
        import_dataset(dataset, tmp_path / "out")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="nothing was imported"):
        import_dataset(dataset, tmp_path / "file/inside")
    assert sorted(os.listdir(tmp_path)) == ["file", "out", "set"]


def test_merging_leaves_out_what_is_there_already(tmp_path, pictures):
    for seed in range(20):
        pictures.save(tmp_path / f"old/good/{seed}.png", pictures.part(seed))
        pictures.save(tmp_path / f"new/good/{seed}.png", pictures.part(100 + seed))
    (tmp_path / "new/good/exact.png").write_bytes((tmp_path / "old/good/3.png").read_bytes())
    cv2.imwrite(str(tmp_path / "new/good/resaved.jpg"), pictures.part(5))
    header = "image,label,defect,mask,variant,environment,group,split\n"
    for name in ("old", "new"):
        files = sorted(p.name for p in (tmp_path / name / "good").iterdir())
        rows = "".join(f"good/{f},good,,,a,,{name}-{f},\n" for f in files)
        (tmp_path / name / "manifest.csv").write_text(header + rows)

    merged = merge_datasets(read_dataset(tmp_path / "old"), read_dataset(tmp_path / "new"), tmp_path / "both")

    assert len(merged.dataset) == 40
    assert {path.name for path, _ in merged.copies} == {"exact.png", "resaved.jpg"}
    assert {s.group.partition("-")[0] for s in merged.dataset} == {"old", "new"}


def test_merging_refuses_contradicting_labels(tmp_path, pictures):
    pictures.save(tmp_path / "old/good/1.png", pictures.part(1))
    pictures.save(tmp_path / "new/good/2.png", pictures.part(2))
    pictures.save(tmp_path / "new/crack/1.png", pictures.part(1))
    with pytest.raises(DatasetError, match=r"different labels: old/good/1\.png \(good\), new/crack/1\.png \(crack\)"):
        merge_datasets(read_dataset(tmp_path / "old"), read_dataset(tmp_path / "new"), tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00\x02", b"\x89PNG\r\n", b"\xff\xd8\xff\xe1\xff\xffshort"]
)
def test_broken_jpeg_headers_are_refused(data):
    assert strip_jpeg_metadata(data) is None

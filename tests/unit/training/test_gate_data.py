"""Which pictures trained a bundle: by name, by pixels after a merge, or all when nothing is known."""

import json
import shutil

import pytest

from qc.domain.errors import DatasetError
from qc.ingest.decode import read_image
from qc.release.evidence import pixel_hash
from qc.training.dataset import read_dataset
from qc.training.gate_data import training_share

pytestmark = pytest.mark.train


@pytest.fixture
def bundle(on_disk, tmp_path):
    """(bundle with a split.json, data set): of six pictures four were learnt from."""
    pixels = []
    for seed in range(6):
        path = on_disk.good(f"g{seed}", seed)
        if seed < 4:
            pixels.append(pixel_hash(read_image(path)))
    folder = tmp_path / "bundle"
    folder.mkdir()
    split = {"training": [f"images/good/g{i}.png" for i in range(4)], "held_out": [], "training_pixels": pixels}
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")
    return folder, on_disk.done().parent


def test_by_name(bundle):
    folder, root = bundle
    assert len(training_share(folder, read_dataset(root))) == 4


def test_renamed_pictures_are_known_by_their_pixels(bundle, tmp_path):
    folder, root = bundle
    for path in (root / "images/good").iterdir():
        (tmp_path / "again/good").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / f"again/good/new-{path.name}")
    share = training_share(folder, read_dataset(tmp_path / "again"))
    assert sorted(s.image.name for s in share) == [f"new-g{i}.png" for i in range(4)]


def test_a_bundle_that_says_nothing_was_trained_on_everything(bundle, tmp_path):
    folder, root = bundle
    assert len(training_share(tmp_path, read_dataset(root))) == 6
    (folder / "split.json").write_text("[]", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"split\.json"):
        training_share(folder, read_dataset(root))

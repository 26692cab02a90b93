"""Golden pictures must be the same for ever: their hashes are pinned here."""

import hashlib

import numpy as np
import pytest

from qc.domain.model import InputSpec
from qc.inspection.fake import FakeInspector
from qc.inspection.golden import KINDS, golden_picture, make_golden

SPEC = InputSpec(32, 48)

PINNED = {
    "gradient": "1f7bf48b0eb127c2",
    "noise": "189e5259956e2ecf",
    "blobs": "65204d1223349b52",
    "stripes": "a374d69fbf3513aa",
}


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_never_change(kind):
    # If this fails, every bundle ever written would be refused: do not update the hashes, repair the generator.
    assert hashlib.sha256(golden_picture(kind, 1, SPEC).tobytes()).hexdigest()[:16] == PINNED[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_differ_by_seed_and_have_structure(kind):
    first, second = golden_picture(kind, 1, SPEC), golden_picture(kind, 2, SPEC)
    assert first.shape == (49, 73, 3)
    assert first.dtype == np.uint8
    assert first.std() > 5
    assert (first != second).mean() > 0.5


def test_a_picture_for_a_huge_input_stays_small():
    assert golden_picture("noise", 1, InputSpec(4096, 600)).shape == (1024, 901, 3)


def test_every_kind_and_seed_is_measured():
    golden = make_golden(FakeInspector(), seeds=(1, 5, 9))
    assert [(g.kind, g.seed) for g in golden] == [(kind, seed) for kind in KINDS for seed in (1, 5, 9)]
    assert all(0 < g.score < 1 for g in golden)
    assert len({g.score for g in golden}) == len(golden)


def test_an_unknown_kind_is_a_programming_error():
    with pytest.raises(KeyError):
        golden_picture("unknown", 1, SPEC)

"""Confident learning finds planted label errors."""

import doctest

import numpy as np
import pytest

from qc.domain.errors import EvaluationError
from qc.training.checks import confident, robust
from qc.training.checks.confident import out_of_fold_probabilities, suspects
from qc.training.checks.embedding import default_embedding
from qc.training.splits import Folds


def test_planted_errors_lead_the_ranking():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 60)
    features = (rng.normal(0, 1, (180, 60)) + 3.0 * np.eye(3)[truth] @ rng.normal(0, 0.5, (3, 60))).astype(np.float32)
    labels = truth.copy()
    wrong = rng.choice(180, 8, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 3
    folds = Folds(np.arange(180) % 5, 5)

    ranked = suspects(out_of_fold_probabilities(features, labels, 3, folds), labels)

    assert set(wrong.tolist()) <= set(ranked[:12].tolist())


def test_clean_separable_labels_have_no_suspects():
    labels = np.arange(40) % 2
    features = np.stack([labels * 10.0, np.zeros(40)], 1).astype(np.float32)
    probabilities = out_of_fold_probabilities(features, labels, 2, Folds(np.arange(40) // 2 % 4, 4))
    assert np.allclose(probabilities.sum(1), 1.0)
    assert suspects(probabilities, labels).size == 0


def test_a_class_absent_from_a_fold_is_neither_doubted_nor_believed():
    labels = np.array([0] * 10 + [1] * 10 + [2] * 2)
    fold = np.array([*(list(range(2)) * 10), 0, 0])
    features = np.eye(3, dtype=np.float32)[labels]
    probabilities = out_of_fold_probabilities(features, labels, 3, Folds(fold, 2))
    assert probabilities[fold == 0][:, 2].max() == 0.0


@pytest.mark.parametrize("labels", [np.array([0, 1]), np.array([0, 1, 2]), np.array([0, -1, 1])])
def test_shapes_and_ranges_are_checked(labels):
    with pytest.raises(EvaluationError):
        suspects(np.full((3, 2), 0.5), labels)


@pytest.mark.parametrize("module", [confident, robust])
def test_examples_in_the_docs(module):
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


@pytest.mark.train
def test_deep_embedding_of_pictures_of_any_size(pictures):
    embed = default_embedding()
    assert embed is not None
    vectors = embed([pictures.part(1), pictures.part(1, size=(200, 200)), pictures.part(1)])
    assert vectors.dtype == np.float32
    assert vectors.shape[0] == 3
    assert np.allclose(vectors[0], vectors[2], atol=1e-4)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-4)

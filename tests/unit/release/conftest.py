"""Bundles, a registry and keys; tiny but real models."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes
from qc.release.registry import Registry
from qc.release.signing import load_keys, make_keys
from qc.release.transitions import By

BY = By("kim", "cli", "because")
T0 = datetime(2026, 11, 24, 8, tzinfo=UTC)


def make_bundle(directory: Path, model_id: str, kind: str = "brightness", **card: object) -> None:
    seal_bundle(directory / model_id, tiny_model_bytes(kind=kind), replace(tiny_card(model_id), variants=("cell",), **card))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """``one`` is active for ``cell``; ``two`` and ``three`` are there."""
    directory = tmp_path / "models"
    for model_id in ("one", "two", "three"):
        make_bundle(directory, model_id)
    made = Registry(directory, now=lambda: T0)
    made.register("cell", made.slot("one"), BY)
    return made


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """(private, public)."""
    private, public = tmp_path / "plant.key", tmp_path / "plant.pub"
    make_keys(private, public)
    return private, public


@pytest.fixture
def signed_registry(tmp_path: Path, keys: tuple[Path, Path]) -> Registry:
    return Registry(tmp_path / "edge-models", keys=load_keys([keys[1]]), now=lambda: T0)

"""docs/model-bundle.md is followed to the letter."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from qc.domain.model import ModelCard
from qc.inspection.bundle import verify_bundle
from qc.inspection.golden import KINDS
from qc.inspection.session import PROVIDERS
from qc.inspection.tiny import tiny_model_bytes

PAGE = (Path(__file__).parents[3] / "docs" / "model-bundle.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # the examples use relative paths, as a reader would
    Path("my_model.onnx").write_bytes(tiny_model_bytes())
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "docs/model-bundle.md", "exec"), names)
    assert verify_bundle(Path("models/my-model-1")).card.golden
    verify_bundle(Path("models/tiny"))


@pytest.mark.parametrize("word", [*(item.name for item in fields(ModelCard)), *KINDS, *PROVIDERS])
def test_every_key_kind_and_provider_is_explained(word: str):
    assert f"`{word}`" in PAGE

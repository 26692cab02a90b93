"""Training recipes are read strictly, and the shipped ones are valid."""

from pathlib import Path

import pytest

from qc.domain.errors import ConfigError
from qc.training.recipe import TrainingRecipe, load_recipe

pytestmark = pytest.mark.train

SHIPPED = sorted((Path(__file__).parents[3] / "configs/training").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_files_load(path):
    assert load_recipe(path).folds == 5


def test_the_default_file_states_the_defaults():
    assert load_recipe(SHIPPED[0].with_name("default.toml")) == TrainingRecipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", "did you mean seed"),
        ("seed = 'one'", "seed must be int"),
        ("[aim]\nfpr_limt = 0.1", "did you mean aim.fpr_limit"),
        ("side = 8", "side 0"),
        ("roi = [[0.1, 0.2]]", "at least 3 corners"),
        ("roi = 5", "roi must be corners"),
        ("seed = ", "not valid TOML"),
    ],
)
def test_mistakes_name_the_key(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_recipe(path)


def test_values_and_seed_override(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("side = 96\nroi = [[0, 0], [1, 0], [1, 0.5]]\n[aim]\nlot = 20\n", encoding="utf-8")
    recipe = load_recipe(path, seed=7)
    assert (recipe.seed, recipe.side, recipe.aim.lot) == (7, 96, 20)
    assert recipe.roi == ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))

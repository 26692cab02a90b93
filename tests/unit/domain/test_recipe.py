"""The recipe's version is a hash of every field."""

from dataclasses import replace

from qc.domain.recipe import HaltPolicy, Recipe


def test_version_changes_with_any_field() -> None:
    recipe = Recipe(variant="a", model_id="m", review_at=0.4, reject_at=0.6)
    assert recipe.version == Recipe(variant="a", model_id="m", review_at=0.4, reject_at=0.6).version
    assert recipe.version != replace(recipe, reject_at=0.61).version
    assert recipe.version != replace(recipe, halt=HaltPolicy(run_rejects=9)).version
    assert recipe.version != replace(recipe, ignore=(((0, 0), (1, 0), (1, 1)),)).version

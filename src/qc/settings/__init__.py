"""TOML and environment to frozen, typed settings; units in field names."""

from qc.settings.files import load_line, load_recipes
from qc.settings.line import LineSettings
from qc.settings.recipe import RecipeSettings

__all__ = ["LineSettings", "RecipeSettings", "load_line", "load_recipes"]

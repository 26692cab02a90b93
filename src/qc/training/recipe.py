"""What the engineer may decide about a training; every default is what a new product should start with."""

import difflib
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from qc.domain.errors import ConfigError
from qc.domain.recipe import Polygon
from qc.training.backbone import DEFAULT_BACKBONE
from qc.training.thresholds import Aim


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """side: input side in pixels, 0 chooses from the data. finetune: try to train the backbone's last stage further; cells: the head that scores each
    cell; both cost minutes.

    backbone, weights: see backbone.py. roi, ignore: as in the line's recipe. folds: of the cross-validation. flips: mirror and
    turn pictures while learning (switch off where left and right differ in meaning). views: how often each picture is also seen in other light by
    the branches trained by gradient; 0: never.
    data_source, data_licence: written into the card.
    """

    seed: int = 0
    backbone: str = DEFAULT_BACKBONE
    weights: str = ""
    side: int = 0
    roi: Polygon | None = None
    ignore: tuple[Polygon, ...] = ()
    folds: int = 5
    cells: bool = True
    finetune: bool = True
    flips: bool = True
    views: int = 1
    quantise: bool = True
    data_source: str = ""
    data_licence: str = ""
    aim: Aim = field(default_factory=Aim)


def load_recipe(path: Path | None, seed: int | None = None) -> TrainingRecipe:
    """Read a TOML file with the keys of TrainingRecipe and a table [aim]; None: the defaults. Raises ConfigError.

    seed: overrides the file's.
    """
    recipe = _read(path) if path else TrainingRecipe()
    return recipe if seed is None else replace(recipe, seed=seed)


def _read(path: Path) -> TrainingRecipe:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    aim = data.pop("aim", {})
    if not isinstance(aim, dict):
        raise ConfigError(f"{path}: aim must be a table [aim]")
    values = _checked(data, TrainingRecipe(), path, "")
    recipe = TrainingRecipe(**values, aim=Aim(**_checked(aim, Aim(), path, "aim.")))
    if recipe.folds < 2 or recipe.views < 0 or (recipe.side and not 64 <= recipe.side <= 1024):
        raise ConfigError(f"{path}: need folds >= 2, views >= 0 and side 0 (from the data) or 64..1024")
    return recipe


def _checked(data: dict[str, Any], default: object, path: Path, prefix: str) -> dict[str, Any]:
    """Only known keys, each with the type of its default."""
    known = {f.name: getattr(default, f.name) for f in fields(default) if f.name != "aim"}  # type: ignore[arg-type]  # default is a dataclass instance
    values = {}
    for key, value in data.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"allowed are {', '.join(known)}"
            raise ConfigError(f"{path}: unknown key {prefix}{key}; {hint}")
        if key in {"roi", "ignore"}:
            values[key] = _polygons(value, path, key)
            continue
        wanted = type(known[key])
        number = isinstance(value, int) and not isinstance(value, bool) and wanted is float
        if not (number or type(value) is wanted):
            raise ConfigError(f"{path}: {prefix}{key} must be {wanted.__name__}, not {value!r}")
        values[key] = wanted(value)
    return values


def _polygons(value: Any, path: Path, key: str) -> Any:
    try:
        areas = [value] if key == "roi" else value
        polygons = tuple(tuple((float(x), float(y)) for x, y in area) for area in areas)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {key} must be corners [[x, y], ...] relative to the frame") from error
    if any(len(p) < 3 or not all(0 <= v <= 1 for point in p for v in point) for p in polygons):
        raise ConfigError(f"{path}: {key}: a polygon needs at least 3 corners in [0, 1]")
    return polygons[0] if key == "roi" else polygons

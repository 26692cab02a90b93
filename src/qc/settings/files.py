"""Reads settings files; every complaint names the file, the key and what would be right."""

import difflib
import os
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from qc.domain.errors import ConfigError
from qc.domain.recipe import Recipe
from qc.settings.base import models_in
from qc.settings.line import CameraSettings, LineSettings, RtspSettings
from qc.settings.recipe import RecipeSettings

S = TypeVar("S", bound=BaseModel)


def load_line(path: Path, environ: Mapping[str, str] = os.environ) -> LineSettings:
    """The line's settings with absolute paths and with the secrets of the environment. Raises ConfigError."""
    settings = load_file(path, LineSettings)
    settings = typing.cast(LineSettings, _absolute(settings, path.resolve().parent))
    mqtt = settings.mqtt.model_copy(update={"password": _secret("mqtt", environ)})
    cameras = [_with_password(camera, environ) for camera in settings.cameras]
    return settings.model_copy(update={"mqtt": mqtt, "cameras": cameras})


def load_recipes(directory: Path) -> dict[str, Recipe]:
    """All recipes of a folder by variant. Raises ConfigError, also for two files with the same variant."""
    if not directory.is_dir():
        raise ConfigError(f"{directory}: no such folder; recipes.directory must hold one TOML file per product variant")
    recipes: dict[str, Recipe] = {}
    origin: dict[str, Path] = {}
    for path in sorted(directory.glob("*.toml")):
        recipe = load_file(path, RecipeSettings).to_recipe()
        if recipe.variant in recipes:
            raise ConfigError(f"{path}: variant {recipe.variant!r} is already defined in {origin[recipe.variant]}")
        recipes[recipe.variant], origin[recipe.variant] = recipe, path
    if not recipes:
        raise ConfigError(f"{directory}: no recipe here; add one TOML file per product variant")
    return recipes


def load_file(path: Path, kind: type[S]) -> S:
    """One TOML file as a settings type. Raises ConfigError that names file, key and what would be right."""
    try:
        text = path.read_bytes().decode("utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in _complaints(error, kind))) from None


def _complaints(error: ValidationError, kind: type[BaseModel]) -> Iterator[str]:
    for item in error.errors(include_url=False):
        loc = [
            part for part in item["loc"] if part not in ("folder", "video", "rtsp", "device", "free_run", "each_frame", "command")
        ]
        key = ".".join(str(part) for part in loc) or "(file)"
        match item["type"]:
            case "extra_forbidden":
                yield f"{key}: unknown key{_nearest(str(loc[-1]), _keys_at(kind, item['loc'][:-1]))}"
            case "missing":
                yield f"{key}: missing; it is required"
            case "value_error":
                yield f"{key}: {item['msg'].removeprefix('Value error, ')}"
            case _:
                yield f"{key}: {item['msg']}; got {item['input']!r}"


def _nearest(word: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} Allowed here: {', '.join(allowed)}" if allowed else hint


def _keys_at(kind: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Valid keys of the table that a pydantic error location points to."""
    models: list[type[BaseModel]] = [kind]
    for part in loc:
        if isinstance(part, int):
            continue
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if fields:
            models = [found for field in fields for found in models_in(field.annotation)]
        else:  # the tag of a discriminated union
            models = [
                m for m in models if "kind" in m.model_fields and part in typing.get_args(m.model_fields["kind"].annotation)
            ]
    return sorted({name for model in models for name, field in model.model_fields.items() if not field.exclude})


def _absolute(value: Any, base: Path) -> Any:
    """A copy in which every relative path counts from ``base``."""
    if isinstance(value, Path):
        return (base / value.expanduser()).resolve()
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _absolute(getattr(value, name), base) for name in type(value).model_fields})
    if isinstance(value, list):
        return [_absolute(item, base) for item in value]
    return value


def _with_password(camera: CameraSettings, environ: Mapping[str, str]) -> CameraSettings:
    if not isinstance(camera.source, RtspSettings):
        return camera
    source = camera.source.model_copy(update={"password": _secret(f"camera_{camera.id}", environ)})
    return camera.model_copy(update={"source": source})


def _secret(name: str, environ: Mapping[str, str]) -> SecretStr:
    """QC_<NAME>_PASSWORD, or the systemd credential <name>_password, or the file in QC_<NAME>_PASSWORD_FILE."""
    variable = f"QC_{name.upper().replace('-', '_')}_PASSWORD"
    if variable in environ:
        return SecretStr(environ[variable])
    files = [environ[variable + "_FILE"]] if variable + "_FILE" in environ else []
    if "CREDENTIALS_DIRECTORY" in environ:
        files.append(f"{environ['CREDENTIALS_DIRECTORY']}/{name}_password")
    for file in map(Path, files):
        if file.is_file():
            return SecretStr(file.read_text("utf-8").strip())
    if variable + "_FILE" in environ:
        raise ConfigError(f"{variable}_FILE: {environ[variable + '_FILE']} is not a readable file")
    return SecretStr("")

"""What one story is about: ``configs/stories/*.toml``, with every choice that a reader might question."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from qc.domain.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Length:
    """How long things last, in parts of the line or in shifts. healthy: before anything changes; answer: after the alarm, while labels
    for the training come in; stretch: in which every part is labelled for the gate; after: under the promoted model."""

    shift_parts: int = 120
    healthy: int = 21
    answer: int = 4
    stretch: int = 2
    shadow: int = 1
    canary: int = 1
    after: int = 10


@dataclass(frozen=True, slots=True)
class Scenario:
    """variant: of the line's one recipe, whatever products run under it. data: a folder below --data, or ``elpv`` (from PyPI). known: products (variants, or environments where the set names them) of the
    first model. arrivals: one product or more per round. expected_cause: what the monitor should name.

    share: of the new products in production, per round. prevalence: of defects. labels: planned per shift. takes: how many captures a
    picture gives before it repeats. pools: shares of the groups per pool, for ``known``, ``new`` or a product by name. training: recipe file, relative to this one.
    golden_defects, golden_good: parts kept for the gate at commissioning, over all known products.
    """

    name: str
    title: str
    variant: str
    data: str
    known: tuple[str, ...]
    arrivals: tuple[tuple[str, ...], ...]
    expected_cause: str
    training: str
    share: float = 0.4
    prevalence: float = 0.1
    labels: int = 12
    sensitivity: float = 0.97
    specificity: float = 0.995
    seconds_per_label: float = 6.0
    halt_minutes: float = 20.0
    takes: int = 4
    lot_parts: int = 100
    reference_lots: int = 20
    golden_defects: int = 80
    golden_good: int = 130
    review: bool = False
    """Rates are promised for the decided parts, and REVIEW takes the rest."""
    pools: dict[str, dict[str, float]] = field(default_factory=dict)
    length: Length = field(default_factory=Length)
    folder: Path = Path()

    @property
    def recipe_file(self) -> Path:
        return self.folder / self.training

    @property
    def gate_rules(self) -> Path:
        """Those of the product, unless the scenario's folder has its own."""
        own = self.folder / "gate.toml"
        return own if own.exists() else ROOT / "configs" / "gate.toml"


def load_scenario(path: Path) -> Scenario:
    """Raises ConfigError naming the file and the key."""
    try:
        body = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    length = body.pop("length", {})
    for table, kind in ((body, Scenario), (length, Length)):
        if unknown := set(table) - {f.name for f in fields(kind)}:
            raise ConfigError(f"{path}: unknown keys {', '.join(sorted(unknown))}")
    try:
        body |= {"known": tuple(body["known"]), "arrivals": tuple(tuple(one) for one in body["arrivals"])}
        return Scenario(**body, name=path.stem, length=Length(**length), folder=path.parent)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error

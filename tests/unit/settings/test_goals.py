"""``goals.toml``: the shipped file loads, and a mistake is named with file, key and remedy."""

from pathlib import Path

import pytest

from qc.domain.errors import ConfigError
from qc.settings.goals import GoalsSettings, load_goals

SHIPPED = Path(__file__).resolve().parents[3] / "configs" / "goals.toml"
TEXT = SHIPPED.read_text()


def load(tmp_path: Path, text: str) -> GoalsSettings:
    path = tmp_path / "goals.toml"
    path.write_text(text)
    return load_goals(path)


def test_the_shipped_file_becomes_goals_prices_and_rules() -> None:
    settings = load_goals(SHIPPED)
    goals = [goal.to_goal() for goal in settings.goals]
    assert goals[0].metric == "detection_rate"
    assert goals[0].at_least
    assert goals[4].slice == {"variant": "solar-mono"}
    assert settings.costs is not None
    model = settings.costs.to_model()
    assert model.halted_minute == pytest.approx(22 + 110 / 60 * 2.5)
    assert settings.audit.to_rules().margins == {"detection_rate": 0.05, "false_positive_rate": 0.02}


def test_an_empty_file_wants_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "") == GoalsSettings()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('metric = "escapes_ppm"', 'metric = "escape"', ["goals.2.metric", "'escape' is no metric", "escapes_ppm"]),
        ("target = 0.94", "target = 94", ["goals.0", "write 0.94 for 94 %"]),
        ("target = 0.94", "targt = 0.94", ["goals.0.targt: unknown key", "did you mean 'target'?"]),
        ("by = 2027-03-31", 'by = "March"', ["goals.0.by"]),
        ('slice = { variant = "solar-mono" }', 'slice = { colour = "red" }', ["goals.4.slice", "colour"]),
        ('slice = { variant = "solar-mono" }', 'slice = { defect_type = "crack", camera = "c" }', ["defect_type goes with"]),
        ('name = "Output"', 'name = "Few escapes"', ["used twice: Few escapes"]),
        ('currency = "USD"', 'currency = "dollar"', ["costs.currency", "pattern"]),
        ("escape = 180.0", "escape = -1.0", ["costs.escape", "greater than or equal to 0"]),
        ("parts_per_hour = 110.0", "parts_per_hour = 0.0", ["costs.parts_per_hour", "greater than 0"]),
        ("alpha = 0.05", "alpha = 0.5", ["audit.alpha"]),
        ('"environment", "model"]', '"weather"]', ["audit.columns"]),
    ],
)
def test_a_mistake_is_named_with_file_key_and_remedy(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, TEXT.replace(old, new, 1))
    for word in ["goals.toml", *words]:
        assert word in str(caught.value)

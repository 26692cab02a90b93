"""The parts of tools/story.py that need no edge: shipped scenarios, pools, captures, the truth of a period, tables."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from stories.book import Book, Judgement, TrueCapture, TrueHalt
from stories.measure import truth
from stories.pictures import POOLS, Capture, Deck, deal
from stories.scenario import load_scenario
from stories.tables import scenario_section, write_tables

from qc.domain.errors import ConfigError
from qc.training.dataset import Dataset, Sample
from qc.training.recipe import load_recipe

STORIES = ROOT / "configs" / "stories"
SCENARIOS = sorted(p for p in STORIES.glob("*.toml") if not p.name.endswith(".train.toml"))
T0 = datetime(2026, 11, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_shipped_scenario_fits_together(path: Path) -> None:
    scenario = load_scenario(path)
    assert load_recipe(scenario.recipe_file).finetune is False
    for shares in scenario.pools.values():
        assert sum(shares.values()) <= 1
        assert set(shares) <= set(POOLS)
    rounds = {"before", *(f"before-{n}" for n in range(2, len(scenario.arrivals) + 1))}
    assert rounds <= {pool for shares in scenario.pools.values() for pool in shares}


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('title = "x"\nknwon = []\n', "utf-8")
    with pytest.raises(ConfigError, match="knwon"):
        load_scenario(tmp_path / "x.toml")


def pictures() -> Dataset:
    samples = [
        Sample(Path(f"/p/{v}-{g}-{i}.png"), "defect" if g % 3 == 0 else "good", variant=v, group=f"{v}-{g}")
        for v in ("old", "new")
        for g in range(30)
        for i in range(2)
    ]
    return Dataset(Path("/p"), tuple(samples))


SHARES = {"known": {"train": 0.4, "before": 0.2, "gate": 0.2, "after": 0.2}, "new": {"before": 0.5, "after": 0.5}}


@pytest.mark.parametrize("seed", range(5))
def test_no_group_stands_in_two_pools_and_every_pool_has_both_truths(seed: int) -> None:
    pools = deal(pictures(), SHARES, ["old"], seed)
    seen: dict[str, str] = {}
    for pool, samples in pools.items():
        for sample in samples:
            assert seen.setdefault(sample.group, pool) == pool
    assert len(seen) == 60
    assert {s.variant for s in pools["train"]} == {"old"}
    for pool in ("before", "after"):
        assert {(s.variant, s.is_defect) for s in pools[pool]} == {(v, d) for v in ("old", "new") for d in (True, False)}
    assert pools == deal(pictures(), SHARES, ["old"], seed)


def test_captures_of_a_picture_differ_by_two_pixels_and_two_percent_at_most(tmp_path: Path) -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(60, 200, (40, 50, 3)).astype(np.uint8), (0, 0), 2)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    sample = Sample(tmp_path / "a.png", "good")
    assert np.array_equal(Capture(sample, 0).pixels(), picture)
    takes = [Capture(sample, take).pixels() for take in range(1, 9)]
    assert len({take.tobytes() for take in takes}) == 8
    middle = (slice(4, -4), slice(4, -4))
    for take in takes:
        nearest = min(
            np.abs(np.roll(picture, (dy, dx), (0, 1))[middle] - take[middle].astype(float)).max()
            for dy in range(-2, 3)
            for dx in range(-2, 3)
        )
        assert nearest <= 0.02 * 200 + 1
    assert np.array_equal(takes[0], Capture(sample, 1).pixels())


def test_a_deck_gives_every_picture_once_before_any_comes_again() -> None:
    samples = pictures().samples[:5]
    deck = Deck(samples, 2, np.random.default_rng(0))
    given = [deck.next() for _ in range(10)]
    assert {c.sample for c in given[:5]} == {c.sample for c in given[5:]} == set(samples)
    assert [c.take for c in given] == [0] * 5 + [1] * 5
    with pytest.raises(ConfigError, match="holds no picture"):
        Deck([], 2, np.random.default_rng(0))


def book(rows: list[tuple[bool, float]]) -> Book:
    """(defective, score) at one part a minute; REVIEW from .4, NG from .6."""
    made = Book()
    for number, (defective, score) in enumerate(rows):
        part, at = f"p{number}", T0 + timedelta(minutes=number)
        made.shown[part] = TrueCapture("old", defective, "a.png", at)
        made.judged.append(Judgement(part, at, score, 0.4, 0.6, "active", "m"))
    made.halts.append(TrueHalt(T0, "halt_policy", True))
    return made


def test_the_truth_of_a_period() -> None:
    made = book([(True, 0.9), (True, 0.5), (True, 0.1), (True, 0.7), (False, 0.1), (False, 0.5), (False, 0.9), (False, 0.2)])
    found = truth(made, T0, T0 + timedelta(minutes=8))
    assert (found["parts"], found["defects"], found["needless_halts"]) == (8, 4, 1)
    assert (found["detection_rate"], found["false_positive_rate"], found["review_share"]) == (0.75, 0.5, 0.25)
    assert found["decided_detection_rate"] == pytest.approx(2 / 3)
    assert found["decided_false_positive_rate"] == pytest.approx(1 / 3)
    assert truth(made, T0 + timedelta(minutes=1), T0 + timedelta(minutes=2))["false_positive_rate"] is None


def finished(seed: int, recovered: float) -> dict[str, Any]:
    def period(rate: float) -> dict[str, Any]:
        true = {"detection_rate": rate, "false_positive_rate": 0.05, "review_share": 0.1, "needless_halts": 1}
        said = {name: [rate, rate - 0.1, rate + 0.05] for name in ("detection_rate", "production_efficiency", "monthly_cost")}
        return {"truth": true, "estimated": {**said, "false_positive_rate": [None, None, None]}, "alarms": []}

    one = {
        "alarm": {
            "quantity": "score",
            "cause": "new_appearance",
            "named": "new_appearance",
            "right": True,
            "parts": 90,
            "hours": 6.0,
        },
        "gate": [{"outcome": "NOT ENOUGH EVIDENCE"}, {"outcome": "PASS"}],
        "override": "",
        "canary": {"withdrawn": ""},
        "recovery": {"labels": 400, "minutes": 40.0, "parts": 900, "hours": 60.0},
        "periods": {"healthy": period(0.9), "decayed": period(0.6), "recovered": period(recovered)},
    }
    return {"seed": seed, "cpu_s": 100.0, "rounds": [one]}


def test_tables_give_median_and_worst(tmp_path: Path) -> None:
    path = STORIES / "changeover-cubes.toml"
    for seed, rate in enumerate((0.97, 0.99, 0.93)):
        (tmp_path / f"changeover-cubes-{seed}.json").write_text(json.dumps(finished(seed, rate)), "utf-8")
    section = scenario_section(tmp_path, load_scenario(path))
    assert "| detection rate, truth | 90.0 % (90.0 %) | 60.0 % (60.0 %) | 97.0 % (93.0 %) |" in section
    assert "detection rate 9 of 9, false-positive rate 0 of 9" in section
    assert "NOT ENOUGH EVIDENCE then PASS 3x" in section
    page = tmp_path / "story.md"
    page.write_text("before\n<!-- stories: begin -->\nold\n<!-- stories: end -->\nafter\n", "utf-8")
    write_tables(tmp_path, page, [path])
    assert page.read_text("utf-8").startswith("before\n<!-- stories: begin -->\n### Cubes")
    assert "old" not in page.read_text("utf-8").splitlines()
    page.write_text("nothing", "utf-8")
    with pytest.raises(ConfigError, match="marks"):
        write_tables(tmp_path, page, [path])

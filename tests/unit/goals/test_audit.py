"""Audits: real differences are found, equal slices are not accused, thin ones are named."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from qc.evaluate.slices import Labels, Parts
from qc.goals.audit import ALPHAS, AuditRules, Finding, audit, holm
from qc.goals.period import Period

COLUMNS = ("variant", "camera")
RULES = AuditRules(columns=COLUMNS)


def production(rng: np.random.Generator, p: dict[str, tuple[float, float]], parts: int = 20_000) -> SimpleNamespace:
    """A period of two columns; p: variant -> P(defective) among accepted and among rejected parts."""
    names = tuple(sorted(p))
    variant = rng.integers(0, len(names), parts)
    rejected = rng.random(parts) < 0.1
    chance = np.array([p[name] for name in names])[variant, rejected.astype(int)]
    q = np.where(rejected, 0.5, 0.05)
    row = np.flatnonzero(rng.random(parts) < q)
    labels = Labels(row, rng.random(len(row)) < chance[row], q[row], np.zeros(len(row), bool), np.zeros(len(row), int))
    levels = {"variant": names, "camera": ("cam1", "cam2")}
    columns = {"variant": variant, "camera": rng.integers(0, 2, parts)}
    made = Parts(columns, levels, rejected.astype(int), np.zeros(parts, bool), ("a", "r"), np.array([False, True]))
    return SimpleNamespace(parts=made, labels=labels)


def findings(period: SimpleNamespace, rules: AuditRules = RULES) -> dict[tuple[str, str, str], Finding]:
    return {(c.metric, c.column, c.level): c.finding for c in audit(period, rules).comparisons}


def test_a_worse_variant_is_found_and_only_that() -> None:
    healthy, blind = (0.002, 0.5), (0.03, 0.2)
    found = findings(production(np.random.default_rng(1), {"a": healthy, "b": healthy, "c": blind}))
    differing = {key for key, finding in found.items() if finding is Finding.DIFFERS}
    assert ("detection_rate", "variant", "c") in differing
    assert not any(column == "camera" for _, column, _ in differing)


def test_alike_needs_an_interval_within_the_margin() -> None:
    period = production(np.random.default_rng(2), {"a": (0.004, 0.5), "b": (0.004, 0.5)})
    wide = AuditRules(columns=COLUMNS, margins={"detection_rate": 0.9, "false_positive_rate": 0.9})
    assert set(findings(period, wide).values()) == {Finding.ALIKE}
    narrow = AuditRules(columns=COLUMNS, margins={"detection_rate": 1e-6, "false_positive_rate": 1e-6})
    assert set(findings(period, narrow).values()) == {Finding.TOO_LITTLE_EVIDENCE}


def test_two_levels_are_one_comparison() -> None:
    found = findings(production(np.random.default_rng(3), {"a": (0.004, 0.5), "b": (0.004, 0.5)}))
    assert [(column, level) for metric, column, level in found if metric == "detection_rate"] == [
        ("variant", "a"),
        ("camera", "cam1"),
    ]


def test_thin_slices_and_single_levels_are_named() -> None:
    period = production(np.random.default_rng(4), {"a": (0.004, 0.5), "b": (0.004, 0.5)}, parts=800)
    found = audit(period, AuditRules(columns=COLUMNS, min_labels=10_000))
    assert {(column, level) for column, level, _ in found.thin} == {
        ("variant", "a"),
        ("variant", "b"),
        ("camera", "cam1"),
        ("camera", "cam2"),
    }
    alone = replace(period.parts, columns={"variant": np.zeros(800, int), "camera": np.zeros(800, int)})
    single = audit(SimpleNamespace(parts=alone, labels=period.labels), RULES)
    assert single.comparisons == ()
    assert single.single == COLUMNS


def test_equal_slices_are_hardly_ever_accused() -> None:
    """Reduced: 40 audits of fourteen comparisons under the null; the bound is 5 %, without Holm it is passed (docs/reports.md)."""
    rng = np.random.default_rng(6)
    same = dict.fromkeys("abcdef", (0.004, 0.5))
    accused = sum(Finding.DIFFERS in findings(production(rng, same, parts=6000)).values() for _ in range(40))
    assert accused <= 6  # 40 x 5 % = 2; more than 6 would have a probability below 0.5 %


def test_holm_is_monotone_and_counts_only_what_was_compared() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert list(ALPHAS) == sorted(ALPHAS, reverse=True)


def test_the_real_reader_gives_what_an_audit_needs(whole: Period) -> None:
    found = audit(whole, AuditRules())
    by_model = {(c.metric, c.level): c for c in found.comparisons if c.column == "model"}
    assert by_model["false_positive_rate", "m1"].finding is Finding.DIFFERS
    assert by_model["detection_rate", "m1"].difference.estimate < 0
    assert "line" in found.single

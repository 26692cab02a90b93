"""From the stores to rates: cells, columns, slices, and the shares that money is made of."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.unit.goals.world import MONDAY, World

from qc.evaluate.slices import slice_rates
from qc.goals import measures
from qc.goals.efficiency import efficiency, production_hours
from qc.goals.halts import HaltSummary
from qc.goals.period import Period
from qc.goals.timeline import timeline

NO_HALTS = HaltSummary(0, 0, 0, 0, 0, 0)


def test_cells_hold_every_part_and_give_the_same_rates(whole: Period) -> None:
    made = whole.production
    assert whole.judged == len(made.row) == 16 * 300
    assert len(whole.parts.stratum) < whole.judged
    (by_cells,), (by_parts,) = slice_rates(whole.parts, whole.labels), slice_rates(made.parts, made.labels)
    for name, rate in by_parts.rates.items():
        cell = by_cells.rates[name]
        assert (cell.n, cell.found) == (rate.n, rate.found)
        assert (cell.estimate, cell.low, cell.high) == pytest.approx((rate.estimate, rate.low, rate.high), rel=1e-9)


def test_the_true_rates_lie_in_their_intervals(before: Period, after: Period) -> None:
    for period, dr, fpr in ((before, 0.68, 0.42), (after, 0.94, 0.08)):
        rates = measures.rates_by(period)[0].rates
        assert rates["detection_rate"].low <= dr <= rates["detection_rate"].high
        assert rates["false_positive_rate"].low <= fpr <= rates["false_positive_rate"].high


def test_challenge_passes_are_apart(whole: Period) -> None:
    assert whole.challenge[""].n == 16 * 4
    assert len(whole.records.seq) == whole.judged + 16 * 4


def test_slices_are_named_as_people_name_them(whole: Period) -> None:
    found = {name: [one.key[name] for one in measures.rates_by(whole, (name,))] for name in ("shift", "day", "model", "camera")}
    assert found["shift"] == ["early", "late", "night"]
    assert found["day"][0] == "2026-11-02"
    assert found["model"] == ["m1", "m2"]
    assert found["camera"] == ["cam1", "cam2"]
    bands = measures.rates_by(whole, ("environment",))
    assert sum(band.parts for band in bands) == whole.judged
    assert all(band.key["environment"].startswith("brightness") for band in bands)


def test_a_rate_of_a_slice_by_name(whole: Period) -> None:
    mine = measures.rate_of(whole, "false_positive_rate", {"model": "m1"})
    assert mine == next(
        one.rates["false_positive_rate"] for one in measures.rates_by(whole, ("model",)) if one.key["model"] == "m1"
    )
    assert "no judged part of model 'm9'" in measures.rate_of(whole, "detection_rate", {"model": "m9"}).not_estimable
    assert "no defect of type 'rust'" in measures.rate_of(whole, "detection_rate", {"defect_type": "rust"}).not_estimable
    assert measures.rate_of(whole, "detection_rate", {"defect_type": "crack"}).found > 0
    assert measures.rate_of(whole, "challenge_detection_rate", {"variant": "solar-mono"}).n == 64
    assert measures.rate_of(whole, "challenge_detection_rate", {"variant": "x"}).not_estimable


def test_reject_rate_counts_all_parts(whole: Period) -> None:
    rate = measures.rates_by(whole)[0].rates["reject_rate"]
    decisions = whole.records.column("decision")
    production = whole.records.column("challenge_id")[0] == whole.records.column("challenge_id")[1].index("")
    rejected = np.isin(decisions[0], [decisions[1].index("NG"), decisions[1].index("REVIEW")])
    assert (rate.found, rate.n) == (int((rejected & production).sum()), whole.judged)
    by_model = measures.rates_by(whole, ("model",))
    assert sum(one.rates["reject_rate"].found for one in by_model) == rate.found


def test_thrown_out_and_escaped_shares_are_what_the_world_made(before: Period) -> None:
    # FPR .42 at prevalence .08; NG begins above the review band: P(score >= .75 | good) from the normal model is .278.
    thrown = measures.thrown_out_share(before)
    assert thrown.low <= 0.92 * 0.275 <= thrown.high
    escaped = measures.escaped_share(before)
    assert escaped.low <= 0.08 * 0.32 <= escaped.high


def test_efficiency_is_good_parts_out_of_planned_ones(before: Period, after: Period) -> None:
    for period in (before, after):
        escaped, hours = measures.escaped_share(period), production_hours(period.records)
        assert hours == pytest.approx(8 * 7.5, rel=0.01)
        found = efficiency(period.judged, period.rejected, escaped, NO_HALTS, hours=hours, parts_per_hour=40)
        good = period.judged - period.rejected - period.judged * (escaped.estimate or 0)
        assert found.rate.estimate == pytest.approx(good / (40 * hours))
        assert found.rate.low < found.rate.estimate < found.rate.high
    unknown = efficiency(300, 30, measures.escaped_share(after), NO_HALTS, hours=8, parts_per_hour=None)
    assert "parts_per_hour" in unknown.rate.not_estimable
    halted = HaltSummary(2, 60, 1, 2, 30, 60)
    lost = efficiency(300, 30, measures.escaped_share(after), halted, hours=8, parts_per_hour=40)
    assert (lost.lost_low, lost.lost_high) == pytest.approx((20 / 320, 40 / 320))


def test_time_steps_grow_until_they_hold_enough(whole: Period) -> None:
    shifts = timeline(whole)
    assert len(shifts) == 16
    assert [bucket.start for bucket in shifts] == sorted(bucket.start for bucket in shifts)
    assert set(shifts[0].rates) == {"reject_rate", "review_rate"}
    days = timeline(whole, fewest_defects=12)
    assert [bucket.name for bucket in days] == [f"2026-11-{day:02d}" for day in range(2, 8)]
    (week,) = timeline(whole, fewest_defects=200)
    assert week.name == "2026-W45"
    assert week.parts == sum(day.parts for day in days) == whole.judged


def test_an_empty_range_is_an_empty_period(world: World) -> None:
    nothing = world.reader.read(MONDAY - timedelta(days=9), MONDAY - timedelta(days=8))
    assert nothing.judged == nothing.rejected == nothing.reviewed == 0
    assert nothing.days == 0
    assert timeline(nothing) == []
    (line,) = measures.rates_by(nothing)
    assert all(rate.not_estimable for rate in line.rates.values())
    assert measures.thrown_out_share(nothing).not_estimable
    assert measures.rates_by(nothing, ("variant", "shift")) == []


def test_dark_and_unknown_pictures(whole: Period) -> None:
    from qc.goals.period import UNKNOWN, _environment

    code, names = _environment(np.array([np.nan, 10, 20, 30], np.float32))
    assert [names[c] for c in code] == [UNKNOWN, "brightness < 17", "brightness 17-23", "brightness > 23"]
    assert _environment(np.array([10, 10.1], np.float32))[1][0] == "steady light"
    assert _environment(np.array([np.nan], np.float32))[1] == (UNKNOWN,)
    assert replace(whole, first=None).days == 0

"""Every rate of a period by its name and slice: one way for goals, tables, plots and audits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from qc.domain.truth import Rate
from qc.evaluate.sample import Bools
from qc.evaluate.slices import SliceRates, detection_rate_by_defect_type, slice_rates
from qc.evaluate.wilson import wilson_rate
from qc.goals.cost import scaled
from qc.goals.period import Period


def rates_by(period: Period, by: Sequence[str] = ()) -> list[SliceRates]:
    """All rates of every slice that occurs, reject_rate and review_rate included; one entry for the line when ``by`` is empty."""
    return _with_reject_rate(period, by, slice_rates(period.parts, period.labels, by))


def counted_by(period: Period, by: Sequence[str] = ()) -> list[SliceRates]:
    """Only reject_rate and review_rate, which need no labels."""
    labels = period.labels
    none = np.zeros(len(labels.row), bool)
    unlabelled = replace(
        labels,
        row=labels.row[none],
        defective=labels.defective[none],
        inclusion_probability=labels.inclusion_probability[none],
        unconfirmed=labels.unconfirmed[none],
        defect_type=labels.defect_type[none],
    )
    found = slice_rates(period.parts, unlabelled, by)
    return _with_reject_rate(period, by, [replace(one, rates={"review_rate": one.rates["review_rate"]}) for one in found])


def _with_reject_rate(period: Period, by: Sequence[str], found: Sequence[SliceRates]) -> list[SliceRates]:
    rejects = _rejects_by(period, by)
    return [
        replace(
            one, rates=dict(one.rates) | {"reject_rate": wilson_rate(rejects.get(_key(one.key), 0), one.parts, "judged part")}
        )
        for one in found
    ]


def rate_of(period: Period, metric: str, where: Mapping[str, str]) -> Rate:
    """One rate of one slice. where: column -> level; ``defect_type`` goes with detection_rate only, challenge DR with variant only."""
    if metric == "challenge_detection_rate":
        absent = Rate(None, None, None, 0, 0, "wilson-clustered", not_estimable="no challenge part was passed")
        return period.challenge.get(where.get("variant", ""), absent)
    if "defect_type" in where:
        missing = f"no defect of type {where['defect_type']!r} among the labels"
        absent = Rate(None, None, None, len(period.labels.row), 0, "stratified-profile-t", not_estimable=missing)
        return defect_types(period).get(where["defect_type"], absent)
    by = tuple(where)
    for one in rates_by(period, by):
        if all(one.key[name] == level for name, level in where.items()):
            return one.rates[metric]
    place = " and ".join(f"{name} {level!r}" for name, level in where.items())
    return Rate(None, None, None, 0, 0, "stratified-profile-t", not_estimable=f"no judged part of {place}")


def defect_types(period: Period) -> dict[str, Rate]:
    """DR by type of defect, of the types that labels name."""
    return {name: rate for name, rate in detection_rate_by_defect_type(period.parts, period.labels).items() if rate.found}


def share_of_types(period: Period) -> dict[str, Rate]:
    """Share of all parts that have a defect of this type (what a Pareto chart ranks), of the types that labels name."""
    labels = period.labels
    found = {}
    for code, name in enumerate(labels.defect_types):
        of_type = labels.defective & (labels.defect_type == code)
        if of_type.any():
            found[name] = _pooled(period, of_type, "prevalence")
    return found


def escaped_share(period: Period) -> Rate:
    """Share of all parts that are defective and were accepted."""
    return scaled(rates_by(period)[0].rates["escapes_ppm"], 1e-6)


def thrown_out_share(period: Period) -> Rate:
    """Share of all parts that are good and got NG; REVIEW parts cost a person's time instead."""
    labels, parts = period.labels, period.parts
    good_ng = ~labels.defective & ~parts.reviewed[labels.row]
    of_rejects = _pooled(period, good_ng, "precision")  # P(chosen | reject): needs labels on rejects only
    return scaled(of_rejects, period.rejected / period.judged if period.judged else 0.0)


def _pooled(period: Period, chosen: Bools, metric: str) -> Rate:
    """The metric with "defective" replaced by ``chosen`` (n,)."""
    return slice_rates(period.parts, replace(period.labels, defective=chosen))[0].rates[metric]


def _rejects_by(period: Period, by: Sequence[str]) -> dict[tuple[tuple[str, str], ...], int]:
    parts = period.parts
    assert parts.weight is not None
    weight = np.where(parts.stratum_rejected[parts.stratum], parts.weight, 0) if len(parts.stratum) else parts.weight
    totals: dict[tuple[tuple[str, str], ...], int] = {}
    names = [np.array(parts.levels[name], object)[parts.columns[name]] for name in by]
    for values in zip(weight, *names, strict=True):
        key = tuple(sorted(zip(by, (str(v) for v in values[1:]), strict=True)))
        totals[key] = totals.get(key, 0) + int(values[0])
    return totals


def _key(key: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(key.items()))

"""The gate: may this candidate take the place of the incumbent? Every rule of ``configs/gate.toml`` is one check or a family of them.

Both models judge the same labelled parts; what is compared are the parts on which they differ (``paired``). The answer is FAIL when any
check fails, NOT ENOUGH EVIDENCE when any cannot be decided, PASS otherwise: since every check must pass, a candidate that is truly worse
by the margin in any single one passes in at most (1 - confidence) / 2 of all cases, however many checks there are.
Parts must stand for what the line sees within their truth (an even draw of defects, an even draw of good parts). Where the labels were
drawn with unequal probabilities, the shadow's comparison (``shadow_report``) weighs them; this gate does not.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np

from qc.evaluate.wilson import wilson_interval
from qc.release.device import device_checks
from qc.release.evidence import Contender, Evidence, LabelledPart, Progress, RecipeOf, TrainingParts, judge_both
from qc.release.index import Slot
from qc.release.paired import compare
from qc.release.report import Check, GateReport, Outcome
from qc.release.robustness import robustness_checks
from qc.release.rules import GateRules

Mask = np.ndarray


def run_gate(
    parts: Sequence[LabelledPart],
    candidate: Contender,
    incumbent: Contender,
    rules: GateRules,
    *,
    serves: Sequence[str],
    recipe_of: RecipeOf,
    made_at: datetime,
    recipes: Sequence[str] = (),
    data: str = "",
    trained_on: TrainingParts | None = None,
    findings: Sequence[Check] = (),
    progress: Progress = lambda _what, _done, _total: None,
) -> GateReport:
    """serves: every variant that the incumbent serves; each must be shown not to be forgotten. recipes: those that run the incumbent;
    one recipe may cover several variants, and the report opens the way for it too.

    findings: checks made elsewhere (bundle and signature, training data). data: names the labelled parts in the report.
    """
    evidence = judge_both(parts, candidate, incumbent, recipe_of, trained_on=trained_on, progress=progress)
    checks = [
        *findings,
        *_rates(evidence, rules),
        *_variants(evidence, rules, serves),
        *_environments(evidence, rules),
        *_superiority(evidence, rules),
        *_calibration(evidence, candidate, rules),
        *device_checks((candidate, incumbent), rules),
        *robustness_checks(evidence, (candidate, incumbent), recipe_of, rules, progress),
    ]
    return GateReport(
        made_at=made_at,
        candidate=candidate.slot,
        incumbent=incumbent.slot,
        variants=tuple(sorted({*serves, *recipes})),
        rules_sha256=rules.sha256,
        data=data,
        parts=len(evidence.parts),
        defects=int(evidence.defective.sum()),
        excluded=evidence.excluded,
        checks=tuple(checks),
    )


def _rates(evidence: Evidence, rules: GateRules) -> Iterator[Check]:
    of = evidence.independent
    yield _rate(evidence, of, "detection rate", (True, rules.detection_margin), rules)
    yield _rate(evidence, of, "false-positive rate", (False, rules.false_positive_margin), rules)


def _variants(evidence: Evidence, rules: GateRules, serves: Sequence[str]) -> Iterator[Check]:
    if len(serves) < 2 and set(evidence.variant.tolist()) <= set(serves):
        return  # one variant: the whole is the variant
    for variant in serves:
        of = evidence.independent & (evidence.variant == variant)
        name = f"variant {variant}"
        yield _rate(evidence, of, "detection rate", (True, rules.variant_detection_margin), rules, slice_=name)
        yield _rate(evidence, of, "false-positive rate", (False, rules.variant_false_positive_margin), rules, slice_=name)


def _environments(evidence: Evidence, rules: GateRules) -> Iterator[Check]:
    """Only environments with labels enough to speak for themselves; the others count in the whole."""
    for environment in sorted(set(evidence.environment.tolist()) - {""}):
        of = evidence.independent_in_environment & (evidence.environment == environment)
        sides = (
            ("detection rate", True, rules.environment_detection_margin),
            ("false-positive rate", False, rules.environment_false_positive_margin),
        )
        for name, truth, margin in sides:
            if int((of & (evidence.defective == truth)).sum()) >= rules.environment_min_parts:
                yield _rate(evidence, of, name, (truth, margin), rules, slice_=f"environment {environment}")


def _rate(evidence: Evidence, of: Mask, name: str, side: tuple[bool, float], rules: GateRules, *, slice_: str = "") -> Check:
    truth, margin = side
    chosen = of & (evidence.defective == truth)
    gain = compare(*evidence.counts(chosen), margin=margin, confidence=rules.confidence)
    kind = "defects" if truth else "good parts"
    sign = 1 if truth else -1  # a gain on good parts is a fall of the false-positive rate
    low, high = sorted((sign * gain.low, sign * gain.high))
    if gain.n == 0:
        message, needed = f"no {kind}", f"{gain.needed} {kind}"
    else:
        rates = [float(side[chosen].mean()) for side in (evidence.candidate, evidence.incumbent)]
        message = (
            f"{rates[0]:.1%} against {rates[1]:.1%}: {sign * gain.estimate:+.1%} ({low:+.1%} to {high:+.1%}), margin {margin:.0%}"
        )
        needed = "" if gain.outcome is not Outcome.NOT_ENOUGH_EVIDENCE else _needed(gain.needed, kind)
    return Check(
        name=name,
        slice=slice_,
        outcome=gain.outcome,
        message=message,
        estimate=sign * gain.estimate if gain.n else None,
        low=low if gain.n else None,
        high=high if gain.n else None,
        n=gain.n,
        labels_needed=needed,
    )


def _needed(count: int | None, kind: str) -> str:
    return f"{count} {kind}" if count is not None else f"no number of {kind} is likely to show it; a better candidate is"


def _superiority(evidence: Evidence, rules: GateRules) -> Iterator[Check]:
    """Where a change must bring something: better in detection, in false positives, or in one of them."""
    if rules.superiority == "none":
        return
    sides = {"detection": (True,), "false_positive": (False,), "either": (True, False)}[rules.superiority]
    gains = [
        compare(*evidence.counts(evidence.independent & (evidence.defective == truth)), margin=0.0, confidence=rules.confidence)
        for truth in sides
    ]
    best = max(gains, key=lambda gain: gain.low)
    worse = all(gain.high < 0 for gain in gains)
    outcome = Outcome.PASS if best.low > 0 else Outcome.FAIL if worse else Outcome.NOT_ENOUGH_EVIDENCE
    kind = " or ".join("defects" if truth else "good parts" for truth in sides)
    yield Check(
        name="superiority",
        outcome=outcome,
        message=f"better by {best.estimate:+.1%} ({best.low:+.1%} to {best.high:+.1%}) on {kind}",
        estimate=best.estimate,
        low=best.low,
        high=best.high,
        n=best.n,
        labels_needed=_needed(best.needed, kind) if outcome is Outcome.NOT_ENOUGH_EVIDENCE else "",
    )


def _calibration(evidence: Evidence, candidate: Contender, rules: GateRules) -> Iterator[Check]:
    """Does the candidate do on these parts what its card promises at reject_at? Thresholds do not transfer by themselves."""
    promised = candidate.inspector.card.rates.get("promised")
    if not isinstance(promised, dict):
        return
    rejected = evidence.candidate_scores >= candidate.inspector.card.reject_at
    for name, truth, bad in (("detection_rate", True, -1), ("false_positive_rate", False, 1)):
        promise = promised.get(name)
        of = evidence.independent & (evidence.defective == truth)
        if not isinstance(promise, dict) or not isinstance(promise.get("estimate"), int | float):
            continue
        said = float(str(promise["estimate"]))
        n, found = int(of.sum()), int((rejected & of).sum())
        low, high = (float(limit) for limit in wilson_interval(found, n, rules.confidence))
        broken = high < said - rules.calibration_tolerance if bad < 0 else low > said + rules.calibration_tolerance
        yield Check(
            name="calibration",
            slice=name.replace("_", " "),
            outcome=Outcome.FAIL if broken else Outcome.PASS if n else Outcome.NOT_ENOUGH_EVIDENCE,
            message=f"{found / n if n else 0:.1%} ({low:.1%} to {high:.1%}) where the card promises {said:.1%}",
            estimate=found / n if n else None,
            low=low,
            high=high,
            n=n,
            labels_needed="" if n else "1 part",
        )


def refused_report(
    candidate: Slot, incumbent: Slot, findings: Sequence[Check], *, serves: Sequence[str], rules: GateRules, made_at: datetime
) -> GateReport:
    """The report on a candidate whose bundle does not even load: no part was judged."""
    return GateReport(
        made_at=made_at,
        candidate=candidate,
        incumbent=incumbent,
        variants=tuple(sorted(serves)),
        rules_sha256=rules.sha256,
        data="",
        parts=0,
        defects=0,
        excluded=0,
        checks=tuple(findings),
    )

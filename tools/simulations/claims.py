"""The twelve claims of the monitoring design as jobs: what is required, what this code measures. All seeds are fixed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from qc.domain.errors import EvaluationError
from qc.evaluate.planner import LabelQuestion, plan_labels
from qc.evaluate.sample import LabelledSample, Population
from qc.evaluate.stratified import detection_rate
from simulations import cost, input_alarms, label_alarms, rates, whole_monitor
from simulations.worlds import W1, W2, W3, W4, W5, World, Z


@dataclass(frozen=True)
class Row:
    """One line of the table. met: None where nothing is required."""

    point: str
    what: str
    required: str
    measured: str
    met: bool | None


def coverage(world: World, prevalence: float, labels: int, replications: int) -> list[Row]:
    seed = round(1000 * prevalence) * 10_000 + labels + int(world.name[1])
    dr, fpr = rates.rates_quality(world, prevalence, labels, replications=replications, seed=seed)
    cell = f"{world.name}, {100 * prevalence:g} %, {labels} labels"
    rows = [
        Row("1", f"DR coverage, {cell}", ">= 93.5 %", f"{dr.coverage:.1f} %", dr.coverage >= 93.5),
        Row("1", f"FPR coverage, {cell}", ">= 92 %", f"{fpr.coverage:.1f} %", fpr.coverage >= 92),
    ]
    if labels >= 1000 and prevalence >= 0.01:
        rows += [
            Row("2", f"DR bias, {cell}", "<= 1 point", f"{dr.bias:+.2f}", abs(dr.bias) <= 1),
            Row("2", f"FPR bias, {cell}", "<= .05 point", f"{fpr.bias:+.3f}", abs(fpr.bias) <= 0.05),
        ]
    wanted = {(0.01, 1000): 17.5, (0.01, 2000): 10.8, (0.01, 5000): 5.7, (0.05, 1000): 5.3}.get((prevalence, labels))
    if world == W1 and wanted:
        rows.append(Row("3", f"DR half-width, {cell}", f"<= {wanted} points", f"{dr.half_width:.2f}", dr.half_width <= wanted))
    if world == W1 and labels == 400 and prevalence == 0.01:
        rows.append(Row("3", f"FPR half-width, {cell}", "<= .8 point", f"{fpr.half_width:.3f}", fpr.half_width <= 0.8))
    return rows


def pipeline(world: World, prevalence: float, replications: int) -> list[Row]:
    dr, fpr = rates.pipeline_quality(world, prevalence, 1000, replications=replications, seed=17)
    cell = f"{world.name}, {100 * prevalence:g} %, 20,000 parts, rejects verified + 1000 labels"
    return [
        Row("1", f"whole pipeline, {name}, {cell}", ">= 93 %", f"{value:.1f} %", value >= 93)
        for name, value in (("DR", dr), ("FPR", fpr))
    ]


def saving(world: World, wanted: float, replications: int) -> list[Row]:
    def stratified(n):
        return rates.mean_half_width(world, 0.01, n, replications=replications, seed=5)

    def uniform(n):
        return rates.uniform_half_width(world, 0.01, n, replications=20 * replications, seed=6)

    mine, other = rates.labels_for(5.0, stratified), rates.labels_for(5.0, uniform)
    ratio = other / mine
    what = f"labels for +-5 points, {world.name}: {mine:,} stratified, {other:,} uniform (Wilson)"
    rows = [Row("4", what, f">= {wanted}x", f"{ratio:.2f}x", ratio >= wanted)]
    if world == W1:
        planned = plan_labels(LabelQuestion(0.05, 0.01, labels_per_window=200, parts_per_window=10_000)).labels
        error = planned / mine - 1
        rows.append(
            Row("4", f"planner: {planned:,} labels for the same", "within +-15 %", f"{100 * error:+.0f} %", abs(error) <= 0.15)
        )
    return rows


def refusals() -> list[Row]:
    population = Population(np.array([9000, 1000]), np.array([False, True]))
    rejects = LabelledSample(np.ones(50, bool), np.ones(50, int), np.full(50, 0.05))
    reason = detection_rate(rejects, population).not_estimable
    rows = [Row("5", "labels of rejects only", "not estimable", reason, bool(reason))]
    stratum = np.repeat([0, 1], [90, 100])
    for name, q in (("missing q", [np.nan, 0.1]), ("1/q instead of q", [100.0, 10.0]), ("q of the strata swapped", [0.1, 0.01])):
        try:
            detection_rate(LabelledSample(stratum == 1, stratum, np.array(q)[stratum]), population)
            rows.append(Row("5", name, "a clear error", "accepted", False))
        except EvaluationError as error:
            rows.append(Row("5", name, "a clear error", str(error), True))
    return rows


def _share(delays) -> float:
    return float(np.isfinite(delays).mean())


def _quantile(delays, share: float) -> float:
    return float(np.quantile(delays, share, method="lower"))


def _alarms(point: str, what: str, delays, most: float) -> Row:
    return Row(point, f"false alarms, {what}", f"<= {100 * most:g} %", f"{100 * _share(delays):.2f} %", _share(delays) <= most)


def _delay(point: str, what: str, delays, median: float, p90: float | None = None) -> Row:
    m, high = _quantile(delays, 0.5), _quantile(delays, 0.9)
    required = f"median <= {median:,g}" + (f", p90 <= {p90:g}" if p90 else "")
    return Row(point, what, required, f"median {m:,.0f}, p90 {high:,.0f}", m <= median and (p90 is None or high <= p90))


def challenge(replications: int) -> list[Row]:
    delays = partial(label_alarms.challenge_delays, replications=replications)
    return [
        _alarms("6", "challenge parts, 2000 passes", delays(0.94, seed=61), 0.05),
        _delay("6", "challenge DR 94 -> 68, passes", delays(0.68, seed=62), 32, 60),
        _delay("6", "challenge DR 94 -> 88, passes", delays(0.88, seed=63), 260),
    ]


def weighted(metric: str, replications: int) -> list[Row]:
    delays = partial(label_alarms.label_delays, metric, replications=replications)
    if metric == "detection_rate":
        fell = label_alarms.decayed(W1, 0.68)
        return [
            _alarms("7", "DR on 50,000 weighted labels", delays(seed=71), 0.05),
            _delay("7", "DR 94 -> 68, labels", delays(world=fell, seed=72), 1900),
        ]
    return [
        _alarms("7", "FPR on 50,000 weighted labels", delays(seed=73), 0.05),
        *(
            _delay("7", f"FPR 8 -> {100 * rate:.0f}, labels", delays(good_shift=W1.reject_at - float(Z(1 - rate)), seed=74), most)
            for rate, most in ((0.42, 130), (0.12, 2000))
        ),
    ]


def combined(replications: int) -> list[Row]:
    fell = label_alarms.decayed(W1, 0.68)
    common = {"challenges": 4, "horizon": 1095, "replications": replications}
    hurt = label_alarms.label_delays("detection_rate", world=fell, challenge_rate=0.68, shifts=60, seed=81, **common)
    well = label_alarms.label_delays("detection_rate", challenge_rate=0.94, shifts=273, seed=82, **common)
    return [
        _delay("8", "labels + challenges, DR 94 -> 68, shifts", np.ceil(hurt / 200), 5, 9),
        _alarms("8", "labels + challenges over 273 shifts", well, 0.02),
    ]


def slices(runs: int) -> list[Row]:
    hits = []
    for run in range(0, runs, 20):
        delays = label_alarms.label_delays(
            "detection_rate", labels_per_shift=50, shifts=365, horizon=365, replications=20 * 24, seed=900 + run, streams=24
        )
        hits.append(np.isfinite(delays).reshape(20, 24).any(1))
    share = float(np.concatenate(hits).mean())
    return [Row("9", "any false alarm in 24 slices, 365 shifts", "<= 5 %", f"{100 * share:.1f} %", share <= 0.05)]


def reject_rate(replications: int) -> list[Row]:
    delays = partial(input_alarms.reject_rate_delays, replications=replications)
    return [
        _alarms("10", "reject rate, 100,000 parts", delays(seed=101), 0.01),
        _alarms("10", "reject rate, 100,000 parts, lot noise .1", delays(seed=102, lot_noise=0.1), 0.01),
        _delay("10", "reject rate, DR 68 / FPR 42, parts", delays(dr=0.68, fpr=0.42, parts=5000, seed=103), 60),
        _delay(
            "10",
            "reject rate falls: threshold too high, DR 73.7 / FPR 1, parts",
            delays(dr=0.737, fpr=0.01, parts=5000, seed=109),
            1000,
        ),
    ]


def scores(lot_noise: float, replications: int) -> list[Row]:
    delays = partial(input_alarms.score_delays, lot_noise=lot_noise)
    noise = f", lot noise {lot_noise:g}" if lot_noise else ""
    return [
        _alarms("10", f"score lots, 100,000 parts{noise}", delays(replications=replications, seed=104), 0.01),
        _delay("10", f"scores + .3 sigma{noise}, parts", delays(shift=0.3, replications=replications // 4, seed=105), 5000),
        _delay("10", f"score sd x 1.2{noise}, parts", delays(scale=1.2, replications=replications // 4, seed=106), 2000),
    ]


def embeddings(lot_noise: float, replications: int) -> list[Row]:
    delays = partial(input_alarms.embedding_delays, lot_noise=lot_noise)
    noise = f", lot noise {lot_noise:g}" if lot_noise else ""
    return [
        _alarms("10", f"embedding lots, 100,000 parts{noise}", delays(replications=replications, seed=107), 0.01),
        _delay(
            "10", f"10 % new variant, 3 sigma{noise}, parts", delays(share=0.1, replications=replications // 4, seed=108), 3500
        ),
    ]


def inspectors(replications: int) -> list[Row]:
    rows = []
    for labels in (1000, 2000, 5000):
        common = {"specificity": 0.995, "sensitivity": 1.0, "replications": replications, "seed": 111}
        good = rates.noisy_inspector(W1, 0.01, labels, adjudicate=True, **common)
        bad = rates.noisy_inspector(W1, 0.01, labels, adjudicate=False, **common)
        what = f"inspector specificity .995, W1, 1 %, {labels} labels"
        rows += [
            Row(
                "11",
                f"{what}: |bias| of DR",
                "<= 1 point",
                f"{good.bias:+.2f} (without second look {bad.bias:+.1f})",
                abs(good.bias) <= 1,
            ),
            Row(
                "11", f"{what}: coverage", ">= 93 %", f"{good.coverage:.1f} % (without {bad.coverage:.1f} %)", good.coverage >= 93
            ),
        ]
    return rows


def order() -> list[Row]:
    worst = rates.same_in_any_order(seed=12)
    return [Row("12", "largest change when labels are shuffled", "none (rounding)", f"{worst:.1e}", worst < 1e-12)]


CHANGES = (
    ("brightness - 1 sd of a part", whole_monitor.World(brightness=-2.0), "environment"),
    ("blur: focus - 1 sd of a part", whole_monitor.World(focus=-10.0), "environment"),
    ("10 % new variant, 3 sigma, 64 dimensions", whole_monitor.World(new_variant=0.1), "new_appearance"),
    ("prevalence 1 -> 8 %", whole_monitor.World(prevalence=0.08), "process_change"),
    ("wrong threshold: .6 -> .15", whole_monitor.World(reject_at=0.15), "model_decay"),
    ("wrong threshold: .6 -> .95", whole_monitor.World(reject_at=0.95), "model_decay"),
    ("all scores + .5 sigma, pictures as before", whole_monitor.World(score_shift=0.5), "model_decay"),
)


def in_control(runs: int) -> list[Row]:
    hits = whole_monitor.false_alarms(runs, 100_000, seed=400)
    what = f"whole monitor, {runs} runs of 100,000 parts, lot noise .1: runs with any alarm"
    return [Row("E4", what, "<= 1 %", f"{hits} of {runs}", hits <= max(0.01 * runs, 1))]


def cause(name: str, world: whole_monitor.World, right: str, runs: int) -> list[Row]:
    delays, quantities, named = whole_monitor.delays_and_causes(world, runs, seed=500)
    first = max(set(quantities), key=quantities.count)
    measured = f"first {first}, median {_quantile(delays, 0.5):,.0f} parts; {named.count(right)} of {runs} named {right}"
    others = sorted({other for other in named if other != right})
    measured += f" (else {', '.join(others)})" if others else ""
    return [Row("E3", f"whole monitor, no labels: {name}", "", measured, None)]


def costs() -> list[Row]:
    mean, median, high = cost.monitor_us()
    rows = [
        Row(
            "cost",
            "monitor, processor time per part on the line",
            "",
            f"mean {mean:.1f} us, median {median:.1f} us, p99.9 {high:.0f} us",
            None,
        )
    ]
    return rows + [
        Row(
            "cost", f"six rates over 10 million parts, 50,000 labels, {by}", "seconds", f"{seconds:.1f} s of processor time", None
        )
        for by, seconds in cost.report_s().items()
    ]


def jobs(scale: float) -> list[Callable[[], list[Row]]]:
    """scale 1: the full size of the claims; smaller for a quick look."""

    def size(full: int) -> int:
        return max(round(full * scale), 8)

    cells = [
        partial(coverage, world, prevalence, labels, size(2000))
        for world in (W1, W2, W3, W4)
        for prevalence in (0.005, 0.01, 0.05)
        for labels in (400, 1000, 2000, 5000)
    ]
    pipelines = [partial(pipeline, w, p, size(1000)) for w, p in ((W1, 0.01), (W1, 0.05), (W2, 0.01), (W3, 0.01), (W4, 0.01))]
    savings = [partial(saving, world, wanted, size(600)) for world, wanted in ((W1, 1.55), (W2, 3.3), (W5, 1.8), (W3, 0.9))]
    alarms = [
        partial(challenge, size(4000)),
        partial(weighted, "detection_rate", size(1000)),
        partial(weighted, "false_positive_rate", size(1000)),
        partial(combined, size(1000)),
        partial(slices, size(400)),
        partial(reject_rate, size(1000)),
        *(partial(scores, noise, size(1000)) for noise in (0.0, 0.1)),
        *(partial(embeddings, noise, size(1000)) for noise in (0.0, 0.1)),
    ]
    return [
        *cells,
        *pipelines,
        *savings,
        refusals,
        *alarms,
        partial(inspectors, size(2000)),
        order,
        partial(in_control, size(20)),
        *(partial(cause, *change, size(20)) for change in CHANGES),
        costs,
    ]

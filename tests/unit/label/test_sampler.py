"""The sampler as the line sees it: one question per part, one plan per window."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from qc.domain.errors import SamplingError
from qc.domain.recipe import Recipe, SamplingPlanSettings
from qc.domain.truth import PlanRecord, SampleTicket
from qc.domain.verdict import Decision, Reason, Verdict
from qc.label.fake import MemoryTruthStore
from qc.label.plan import LabelledParts, SamplingPlan
from qc.label.sampler import History, Sampler, budget_of, plan_next_window, plan_window

EVERYTHING = SamplingPlanSettings(labels_per_window=10, expected_parts_per_window=10)


def recipe(sampling: SamplingPlanSettings) -> Recipe:
    return Recipe("mono", "m", 0.5, 0.7, sampling=sampling)


@pytest.fixture
def sampler(store: MemoryTruthStore, clock: Any) -> Sampler:
    return Sampler(store, clock, [recipe(EVERYTHING)])


def of(make: Any, name: str = "e1", decision: Decision = Decision.OK, **fields: Any) -> Any:
    return make.record(name, decision, recipe_version=recipe(EVERYTHING).version, **fields)


def drawn(sampler: Sampler, record: Any) -> SampleTicket:
    ticket = sampler.ticket_for(record)
    assert ticket is not None
    return ticket


def test_review_counts_as_rejected(sampler: Sampler, make: Any) -> None:
    strata = [
        drawn(sampler, of(make, str(decision), decision)).stratum for decision in (Decision.OK, Decision.REVIEW, Decision.NG)
    ]
    assert strata == ["a1", "r1", "r1"]


def test_while_everything_is_reviewed_the_model_still_accepts(sampler: Sampler, make: Any) -> None:
    record = of(make, "e1", verdict=Verdict(Decision.REVIEW, Reason.REVIEW_ALL), score=0.1)
    assert drawn(sampler, record).stratum == "a1"


@pytest.mark.parametrize(
    "fields",
    [
        {"challenge_id": "C1"},
        {"decision": Decision.NOT_INSPECTED},
        {"decision": Decision.NOT_INSPECTED, "score": 0.4},  # judged too late: nobody acted on the score
        {"score": None},
    ],
)
def test_challenge_parts_and_unjudged_parts_are_never_drawn(sampler: Sampler, make: Any, fields: dict[str, Any]) -> None:
    assert sampler.ticket_for(of(make, **fields)) is None


def test_a_recipe_without_labels_asks_for_none(store: MemoryTruthStore, clock: Any, make: Any) -> None:
    silent = recipe(SamplingPlanSettings(labels_per_window=0))
    sampler = Sampler(store, clock, [silent])
    assert sampler.ticket_for(make.record(recipe_version=silent.version)) is None
    assert store.plan("mono", silent.version, "2026-11-24/early") is None


def test_the_first_part_of_a_window_fixes_its_plan(sampler: Sampler, store: MemoryTruthStore, make: Any) -> None:
    ticket = drawn(sampler, of(make))
    stored = store.plan("mono", recipe(EVERYTHING).version, "2026-11-24/early")
    assert stored is not None
    assert stored.policy == ticket.policy == SamplingPlan.from_json(stored.body).policy


def test_a_prepared_plan_takes_over_at_the_window_boundary_and_not_before(
    sampler: Sampler, store: MemoryTruthStore, clock: Any, make: Any
) -> None:
    first = drawn(sampler, of(make, "e1"))
    prepared = SamplingPlan("mono", (0.05,), (), (1.0, 1.0), (1.0,))
    version = recipe(EVERYTHING).version
    plan_window(store, clock, version, "2026-11-24/late", prepared)
    refused = plan_window(store, clock, version, "2026-11-24/early", prepared)
    assert refused.policy == first.policy
    assert drawn(sampler, of(make, "e2")).policy == first.policy
    later = drawn(sampler, of(make, "e3", shift="2026-11-24/late"))
    assert (later.policy, later.stratum) == (prepared.policy, "a2")
    assert drawn(sampler, of(make, "e4", shift="2026-11-24/night")).policy == prepared.policy, "the latest plan goes on"


def test_after_a_restart_the_window_keeps_its_plan(sampler: Sampler, store: MemoryTruthStore, clock: Any, make: Any) -> None:
    before = drawn(sampler, of(make, "e1"))
    version = recipe(EVERYTHING).version
    other = SamplingPlan("mono", (), (), (0.9,), (0.9,))
    store.add_plan(
        PlanRecord("mono", version, "2026-11-24/late", other.policy, clock.now() + timedelta(hours=1), other.to_json())
    )
    restarted = Sampler(store, clock, [recipe(EVERYTHING)])
    assert drawn(restarted, of(make, "e1")) == before


def test_a_recipe_loaded_later_is_made_known(store: MemoryTruthStore, clock: Any, make: Any) -> None:
    sampler = Sampler(store, clock)
    sampler.use(recipe(EVERYTHING))
    assert drawn(sampler, of(make)).inclusion_probability == 1.0


def test_two_recipes_in_one_window_have_a_plan_each(store: MemoryTruthStore, clock: Any, make: Any) -> None:
    both = [recipe(EVERYTHING), Recipe("poly", "m", 0.5, 0.7, sampling=SamplingPlanSettings(1, 4))]
    sampler = Sampler(store, clock, both)
    mono = [make.record(f"m{i}", recipe_version=both[0].version) for i in range(200)]
    poly = [make.record(f"p{i}", variant="poly", recipe_version=both[1].version) for i in range(200)]
    tickets = [sampler.ticket_for(record) for pair in zip(mono, poly, strict=True) for record in pair]
    assert sum(ticket is not None for ticket in tickets[::2]) == 200
    assert 25 < sum(ticket is not None for ticket in tickets[1::2]) < 75
    assert {ticket.inclusion_probability for ticket in tickets[1::2] if ticket} == {0.25}


@pytest.fixture
def history() -> History:
    rng = np.random.default_rng(0)
    scores = rng.beta(1, 6, 5000)
    drawn = rng.random(5000) < 0.1
    labelled = LabelledParts(
        scores[drawn], (rng.random(drawn.sum()) < scores[drawn] ** 2).astype(np.int64), np.full(drawn.sum(), 0.1)
    )
    return History(scores, scores >= 0.5, labelled, parts_per_window=1000)


def expected_labels(plan: SamplingPlan, history: History) -> float:
    share = plan.probabilities[plan.strata_of(history.scores, history.rejected)].mean()
    return float(share * history.parts_per_window)


def test_the_next_window_is_planned_from_what_earlier_ones_taught(store: MemoryTruthStore, clock: Any, history: History) -> None:
    wanted = recipe(SamplingPlanSettings(labels_per_window=60, expected_parts_per_window=9999))
    stored = plan_next_window(store, clock, wanted, "2026-11-24/late", history)
    assert stored == store.plan("mono", wanted.version, "2026-11-24/late")
    assert stored is not None
    plan = SamplingPlan.from_json(stored.body)
    assert len(plan.names) == 5
    assert expected_labels(plan, history) == pytest.approx(60)


def test_an_alarm_can_raise_the_sampling_of_the_next_window(store: MemoryTruthStore, clock: Any, history: History) -> None:
    wanted = recipe(SamplingPlanSettings(labels_per_window=60))
    plan_next_window(store, clock, wanted, "2026-11-24/late", history)
    raised = plan_next_window(store, clock, wanted, "2026-11-24/night", history, labels_factor=3)
    assert raised is not None
    assert expected_labels(SamplingPlan.from_json(raised.body), history) == pytest.approx(180)


def test_nothing_is_planned_for_a_recipe_without_labels(store: MemoryTruthStore, clock: Any, history: History) -> None:
    assert plan_next_window(store, clock, recipe(SamplingPlanSettings(labels_per_window=0)), "w", history) is None


def test_the_budget_of_a_recipe() -> None:
    budget = budget_of(SamplingPlanSettings(60, 5000, seed=4, verify_all_rejects=True, exploration=0.2), horizon_windows=30)
    assert budget is not None
    assert (budget.labels, budget.parts, budget.horizon_labels, budget.seed) == (60, 5000, 1800, 4)
    assert (budget.verify_all_rejects, budget.exploration) == (True, 0.2)


def test_tickets_must_live(store: MemoryTruthStore, clock: Any) -> None:
    with pytest.raises(SamplingError, match="live"):
        Sampler(store, clock, lifetime=timedelta(0))

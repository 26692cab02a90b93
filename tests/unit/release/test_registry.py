"""Steps of a release: who may do what, what is remembered, what is refused."""

import threading
from datetime import timedelta

import pytest
from tests.unit.release.conftest import BY, T0, make_bundle

from qc.domain.errors import BundleError, ReleaseError
from qc.release.registry import INDEX_FILE, Registry
from qc.release.report import Check, GateReport, Outcome
from qc.release.transitions import By


def report(registry: Registry, candidate: str = "two", outcome: Outcome = Outcome.PASS, minute: int = 0) -> GateReport:
    return GateReport(
        made_at=T0 + timedelta(minutes=minute),
        candidate=registry.slot(candidate),
        incumbent=registry.slot("one"),
        variants=("cell",),
        rules_sha256="0",
        data="d",
        parts=10,
        defects=5,
        excluded=0,
        checks=(Check(name="detection", outcome=outcome, message="m"),),
    )


def test_the_whole_road_is_recorded(registry: Registry) -> None:
    two = registry.slot("two")
    registry.shadow("cell", two, BY, share=0.5)
    registry.canary("cell", two, BY, share=0.1, until=T0 + timedelta(hours=1))
    registry.add_report(report(registry))
    registry.promote("cell", two, By("ann", "mqtt", "gate passed"))
    state = registry.state("cell")
    assert state is not None
    assert (state.active.model, state.previous and state.previous.model) == ("two", "one")
    assert state.shadow is None
    assert state.canary is None
    registry.rollback("cell", BY)
    state = registry.state("cell")
    assert state is not None
    assert state.active.model == "one"
    history = registry.index().history
    assert [step.action for step in history] == ["register", "shadow", "canary", "promote", "rollback"]
    assert [step.number for step in history] == [1, 2, 3, 4, 5]
    assert history[3].gate == report(registry).file_name
    assert (history[3].who, history[3].via, history[3].why, history[3].at, history[3].former) == (
        "ann", "mqtt", "gate passed", T0, "one",
    )  # fmt: skip


def test_nothing_is_promoted_past_the_gate_without_a_name_and_a_reason(registry: Registry) -> None:
    two = registry.slot("two")
    with pytest.raises(ReleaseError, match="no passed gate report"):
        registry.promote("cell", two, BY)
    for nobody in (By("", "cli", "urgent"), By("kim", "cli", " ")):
        with pytest.raises(ReleaseError, match="a name and a reason"):
            registry.promote("cell", two, nobody, override=True)
    registry.promote("cell", two, By("kim", "cli", "the line stands still"), override=True)
    last = registry.index().history[-1]
    assert (last.override, last.gate, last.who, last.why) == (True, "", "kim", "the line stands still")


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.NOT_ENOUGH_EVIDENCE])
def test_a_report_that_did_not_pass_opens_no_gate(registry: Registry, outcome: Outcome) -> None:
    registry.add_report(report(registry))
    registry.add_report(report(registry, outcome=outcome, minute=1))  # the later word counts
    with pytest.raises(ReleaseError, match="no passed gate report"):
        registry.promote("cell", registry.slot("two"), BY)


def test_a_report_counts_only_for_its_pair_and_thresholds(registry: Registry) -> None:
    registry.add_report(report(registry))
    with pytest.raises(ReleaseError, match="no passed gate report"):
        registry.promote("cell", registry.slot("two", 0.1, 0.2), BY)
    registry.promote("cell", registry.slot("three"), By("kim", "cli", "why not"), override=True)
    with pytest.raises(ReleaseError, match="no passed gate report for two against three"):
        registry.promote("cell", registry.slot("two"), BY)


def test_a_rollback_ends_a_canary_first(registry: Registry) -> None:
    registry.promote("cell", registry.slot("two"), BY, override=True)
    registry.canary("cell", registry.slot("three"), BY, share=0.1)
    registry.rollback("cell", BY)
    state = registry.state("cell")
    assert state is not None
    assert (state.active.model, state.canary) == ("two", None)
    registry.rollback("cell", BY)
    state = registry.state("cell")
    assert state is not None
    assert (state.active.model, state.previous) == ("one", None)
    with pytest.raises(ReleaseError, match="no previous model"):
        registry.rollback("cell", BY)


def test_a_broken_bundle_takes_part_in_no_step(registry: Registry) -> None:
    two = registry.slot("two")
    registry.promote("cell", registry.slot("three"), BY, override=True)
    for model in ("one", "two"):
        file = registry.directory / model / "model.onnx"
        file.write_bytes(file.read_bytes()[:-1])
    before = registry.index()
    for step in (
        lambda: registry.shadow("cell", two, BY),
        lambda: registry.canary("cell", two, BY, share=0.1),
        lambda: registry.promote("cell", two, BY, override=True),
        lambda: registry.rollback("cell", BY),
        lambda: registry.fallback("cell", BY),
    ):
        with pytest.raises(BundleError, match="SHA-256"):
            step()
    assert registry.index() == before


def test_a_damaged_index_is_refused_and_kept(registry: Registry) -> None:
    (registry.directory / INDEX_FILE).write_text("{")
    with pytest.raises(ReleaseError, match=r"registry\.json: cannot be read"):
        registry.promote("cell", registry.slot("two"), BY, override=True)
    assert (registry.directory / INDEX_FILE).read_text() == "{"


def test_gc_keeps_what_is_named_anywhere_and_the_newest(registry: Registry) -> None:
    for number in range(5):
        make_bundle(registry.directory, f"old-{number}")
    registry.canary("cell", registry.slot("two"), BY, share=0.1)
    assert registry.gc(in_use={"three"}, keep=2) == ["old-0", "old-1", "old-2"]
    assert registry.models() == ["old-3", "old-4", "one", "three", "two"]
    assert registry.gc(in_use={"three"}, keep=2) == []


def test_changes_from_several_threads_are_all_kept(registry: Registry) -> None:
    def change(model: str) -> None:
        for _ in range(5):
            registry.shadow("cell", registry.slot(model), BY, share=0.5)

    threads = [threading.Thread(target=change, args=(model,)) for model in ("two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = registry.index().history
    assert [step.number for step in history] == list(range(1, 12))
    assert sum(step.model == "two" for step in history) == 5


def test_lineage_follows_the_parents_that_are_here(registry: Registry) -> None:
    make_bundle(registry.directory, "four", parent="two")
    make_bundle(registry.directory, "five", parent="four")
    assert registry.lineage("five") == ["five", "four", "two"]
    make_bundle(registry.directory, "six", parent="gone")
    assert registry.lineage("six") == ["six"]

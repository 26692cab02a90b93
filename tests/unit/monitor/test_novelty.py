"""Causes that only the first real productions showed: found by tools/bench.py truth decays, kept here in small."""

from dataclasses import replace

import numpy as np
import pytest

from qc.domain.alarm import Cause
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision, Reason, Verdict
from qc.monitor.input_watch import EMBEDDING, QUALITY, InputWatch
from qc.monitor.novelty import FEWEST_REFERENCE, RejectLook

from .conftest import LEARNED, SETTINGS, Production


@pytest.fixture
def learned() -> tuple[InputWatch, Production]:
    """A watch that has its reference, with some rejects in it, and the production that goes on."""
    production = Production(seed=3, prevalence=0.05)
    watch = InputWatch(SETTINGS.inputs)
    for record in production.parts(LEARNED):
        watch.update(record)
    return watch, production


def rejected(record: InspectionRecord) -> InspectionRecord:
    return replace(record, score=0.9, verdict=Verdict(Decision.NG, Reason.ABOVE_REJECT))


def test_a_look_needs_rejects_and_tells_the_unlike_from_the_like() -> None:
    rng = np.random.default_rng(0)
    accepted, axes = rng.normal(size=(300, 6)) * [3, 2, 1, 1, 1, 1], np.eye(6)
    rejects = accepted[:200] + np.array([9, 0, 0, 0, 0, 0])
    assert RejectLook.of(accepted, rejects[: FEWEST_REFERENCE - 1], axes) is None
    look = RejectLook.of(accepted, rejects, axes)
    assert look is not None
    assert look.unlike(rejects[::2]).mean() < 0.05
    assert look.unlike(rejects + np.array([0, 0, 0, 0, 8, 0])).mean() > 0.9  # eight spreads along a direction of its own
    assert look.unlike(rejects + np.array([4, 0, 0, 0, 0, 0])).mean() < 0.5  # hardly more than one spread along a known one


def test_an_embedding_with_as_many_values_as_axes_is_no_rounding_error() -> None:
    """What 64 axes leave of 64 values is nothing: the distance along them must tell."""
    rng = np.random.default_rng(1)
    accepted, axes = rng.normal(size=(400, 64)), np.linalg.qr(rng.normal(size=(64, 64)))[0]
    rejects = rng.normal(size=(200, 64))
    look = RejectLook.of(accepted, rejects, axes)
    assert look is not None
    assert look.radius > 1
    assert look.unlike(rejects + 10 * axes[:, 0]).all()


def test_rejects_like_before_are_no_new_appearance_and_others_are(learned: tuple[InputWatch, Production]) -> None:
    watch, production = learned
    for record in production.parts(200):
        watch.update(rejected(record))
    unlike, rejects = watch.unlike_rejects
    assert rejects == 75
    assert unlike <= 8
    production.appearance = 6.0
    for record in production.parts(25):
        watch.update(rejected(record))
    assert watch.unlike_rejects[0] >= 20


def test_what_the_reference_knows_survives_a_restart(learned: tuple[InputWatch, Production]) -> None:
    watch, _ = learned
    again = InputWatch(SETTINGS.inputs)
    again.restore(watch.state())
    assert again.state() == watch.state()
    assert again.reference is not None
    assert again.reference.look is not None
    assert again.reference.accept_below == 0.6


def test_a_new_variant_that_is_always_rejected_is_named(make_rig) -> None:
    rig, production = make_rig(), Production(seed=4, prevalence=0.05)
    rig.feed(production.parts(LEARNED))
    variant = Production(seed=5, appearance=6.0, made=LEARNED)
    for number in range(200):  # every third part is of the new variant
        production.made = variant.made
        rig.monitor.on_record(rejected(variant.part()) if number % 3 == 0 else production.part())
        variant.made = max(production.made, variant.made)
    assert {alarm.cause for alarm in rig.open().values()} == {Cause.NEW_APPEARANCE}
    assert "look like none before" in rig.monitor.diagnosis("cell").evidence[2][1]


@pytest.mark.parametrize(("light", "cause"), [(120.0, Cause.NEW_APPEARANCE), (150.0, Cause.ENVIRONMENT)])
def test_a_new_variant_of_another_colour_is_no_other_light(make_rig, light: float, cause: Cause) -> None:
    """It moves the brightness of the lot as other light does, but only by its own parts, all of which are rejected."""
    rig, production = make_rig(), Production(seed=4, prevalence=0.05)
    rig.feed(production.parts(LEARNED))
    variant = Production(seed=5, appearance=6.0, brightness=150.0, made=LEARNED)
    production.brightness = light
    for number in range(200):
        variant.made = production.made = max(production.made, variant.made)
        rig.monitor.on_record(rejected(variant.part()) if number % 3 == 0 else production.part())
    assert {alarm.cause for alarm in rig.open().values()} == {cause}


def test_a_strong_change_of_the_picture_is_seen_before_the_lot_is_full(learned: tuple[InputWatch, Production]) -> None:
    watch, production = learned
    production.brightness = 60.0
    for record in production.parts(31):
        watch.update(record)
    assert watch.moved(QUALITY)


def test_other_thresholds_are_no_new_appearance(learned: tuple[InputWatch, Production]) -> None:
    """The model's embeddings of likely defects differ from those of the rest; accepting more of them changes no part."""
    watch, production = learned
    before = watch.log_value(EMBEDDING)
    looser = Production(seed=6, prevalence=0.3, reject_at=0.999, made=production.made)
    for record in looser.parts(2000):
        seen = replace(record, embedding=record.embedding + np.float32(4.0 * (record.score > 0.6)))
        watch.update(seen)
    assert watch.log_value(EMBEDDING) < max(before, 0.0) + np.log(2000 / SETTINGS.inputs.lot_parts) + 3


def test_more_defects_of_the_known_kind_are_a_process_change(make_rig) -> None:
    rig, production = make_rig(), Production(seed=7, prevalence=0.05)
    rig.feed(production.parts(LEARNED))
    production.prevalence = 0.2
    rig.feed(production.parts(1000))
    assert rig.open()
    assert {alarm.cause for alarm in rig.open().values()} == {Cause.PROCESS_CHANGE}

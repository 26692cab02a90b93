"""Releases on a running line: which model decides which part, and how a bad one loses the decision within one part."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from tests.system.edge_process import write_settings
from tests.unit.line.test_loop import until

from qc.domain.alarm import Action, Cause
from qc.domain.errors import CommandError, InspectionError
from qc.domain.frame import Pixels
from qc.domain.inspection import Inspection
from qc.domain.ports import Command, Inspector, Prepared
from qc.domain.record import InspectionRecord, Json
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import ScriptedSource
from qc.ingest.trigger import EachFrame
from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes
from qc.line.setup import Setup
from qc.record.shadow_store import ShadowStore
from qc.release.shadow import run_name
from qc.settings import load_line, load_recipes
from qc.wiring import Edge, build_edge

WHO = "kim"


def bundle(folder: Path, model_id: str, review_at: float = 0.6, reject_at: float = 0.8) -> None:
    card = replace(tiny_card(model_id), review_at=review_at, reject_at=reject_at)
    seal_bundle(folder / "models" / model_id, tiny_model_bytes(), card)


def grey(level: int) -> Pixels:
    pixels = np.full((32, 32, 3), level, np.uint8)
    pixels[::2, ::2] = level // 2
    return pixels


class Gate:
    """Pictures that come when the test lets them: part by part."""

    def __init__(self, levels: list[int]) -> None:
        self._levels = levels
        self._allowed = threading.Semaphore(0)

    def let(self, parts: int) -> None:
        self._allowed.release(parts)

    def __iter__(self) -> Iterator[Pixels]:
        for level in self._levels:
            self._allowed.acquire()
            yield grey(level)


@dataclass
class Rig:
    edge: Edge
    gate: Gate
    seen: int = 0

    def step(self, **body: Json) -> dict[str, Json]:
        return dict(self.edge.control.handle(Command("model", {"operator": WHO, **body}, WHO, "mqtt")))

    def parts(self, count: int) -> list[InspectionRecord]:
        """The records of the next ``count`` parts."""
        self.gate.let(count)
        self.seen += count
        assert until(lambda: self.edge.line.status().triggers >= self.seen)
        records = sorted(self.edge.store.find(limit=100_000), key=lambda record: record.seq)
        assert len(records) == self.seen
        return records[-count:]


@contextmanager
def rig(folder: Path, levels: list[int] | None = None) -> Iterator[Rig]:
    config = write_settings(folder, 1, mqtt="enabled = false")
    for model_id in ("good", "blind", "nervous"):
        if not (folder / "models" / model_id).exists():
            bundle(folder, model_id, *{"blind": (1.0, 1.0), "nervous": (0.0, 0.0)}.get(model_id, (0.6, 0.8)))
    settings = load_line(config, {})
    gate = Gate(levels or [60] * 3000)
    # The script is read ahead by the source's own thread; the semaphore is what holds it.
    source = ScriptedSource("cam1", gate)  # type: ignore[arg-type]
    edge = build_edge(settings, load_recipes(settings.recipes.directory), cameras=[TriggeredCamera(source, EachFrame())])
    edge.start()
    try:
        yield Rig(edge, gate, edge.line.status().triggers)
    finally:
        gate.let(10_000)
        edge.stop()


def test_promote_and_rollback_hold_for_the_next_part_and_over_a_restart(tmp_path: Path) -> None:
    with rig(tmp_path) as line:
        assert {record.model_id for record in line.parts(3)} == {"tiny"}
        with pytest.raises(CommandError, match="no passed gate report"):
            line.step(action="promote", model="good")
        with pytest.raises(CommandError, match="a name and a reason"):
            line.step(action="promote", model="good", override=True)
        assert {record.model_id for record in line.parts(2)} == {"tiny"}
        facts = line.step(action="promote", model="good", override=True, reason="trial")
        assert facts == {"variant": "cell", "active": "good", "previous": "tiny", "shadow": None, "canary": None}
        after = line.parts(3)
        assert {record.model_id for record in after} == {"good"}
        assert {record.recipe_version for record in after} == {line.edge.line.setup.recipe.version}
        last = line.edge.registry.index().history[-1]
        assert (last.who, last.via, last.why, last.override) == (WHO, "mqtt", "trial", True)
    with rig(tmp_path) as line:
        assert {record.model_id for record in line.parts(2)} == {"good"}
        line.step(action="rollback")
        assert {record.model_id for record in line.parts(2)} == {"tiny"}


def test_steps_that_cannot_be_are_refused_and_change_nothing(tmp_path: Path) -> None:
    with rig(tmp_path) as line:
        for body, code in (
            ({"action": "canary", "model": "absent"}, "model_refused"),
            ({"action": "canary"}, "invalid_argument"),
            ({"action": "rollback"}, "release_refused"),
            ({"action": "shadow"}, "release_refused"),
            ({"action": "canary", "model": "good", "variant": "absent"}, "unknown_variant"),
        ):
            with pytest.raises(CommandError) as refused:
                line.step(**body)
            assert refused.value.code == code
        file = tmp_path / "models" / "good" / "model.onnx"
        file.write_bytes(file.read_bytes() + b"\0")
        with pytest.raises(CommandError, match="SHA-256"):
            line.step(action="promote", model="good", override=True, reason="r")
        assert {record.model_id for record in line.parts(3)} == {"tiny"}


def test_a_canary_decides_its_share_and_is_marked(tmp_path: Path) -> None:
    with rig(tmp_path) as line:
        line.step(action="canary", model="good", share=0.3)
        records = line.parts(300)
        canary = [record for record in records if record.role == "canary"]
        assert 60 <= len(canary) <= 120
        assert {record.model_id for record in canary} == {"good"}
        status = line.edge.rollout.status()
        assert (status["phase"], status["candidate"], status["share"]) == ("canary", "good", 0.3)
        assert status["results"] == {"parts": len(canary), "withdrawn": False}
        assert {record.model_id for record in records if record.role == "active"} == {"tiny"}
        line.step(action="promote", override=True, reason="it did well")  # the candidate of the canary
        assert {(record.model_id, record.role) for record in line.parts(20)} == {("good", "active")}


def test_a_canary_that_rejects_everything_is_rolled_back(tmp_path: Path) -> None:
    with rig(tmp_path) as line:
        line.parts(210)  # the baseline: nothing is rejected
        line.step(action="canary", model="nervous", share=1.0)
        line.parts(60)
        assert until(lambda: line.edge.registry.index().history[-1].action == "rollback")
        records = sorted(line.edge.store.find(limit=1000), key=lambda record: record.seq)
        roles = [record.role for record in records]
        first, last = roles.index("canary"), len(roles) - 1 - roles[::-1].index("canary")
        assert last - first < 15
        assert set(roles[last + 1 :]) == {"active"}  # from one part to the next, also those captured already
        assert [alarm.quantity for alarm in line.edge.alarms.open_alarms() if alarm.quantity == "canary"] == ["canary"]
        assert "reject rate jumped" in line.edge.registry.index().history[-1].why


def test_an_alarm_ends_a_canary_within_one_part_but_not_one_that_was_open_before(tmp_path: Path) -> None:
    with rig(tmp_path) as line:
        alarms = line.edge.alarms
        alarms.report("detection_rate", "cell", cause=Cause.MODEL_DECAY, action=Action.REVIEW_ALL, message="decayed")
        line.edge.line.acknowledge_level()
        line.step(action="canary", model="good", share=1.0)
        alarms.report("detection_rate", "cell", cause=Cause.MODEL_DECAY, action=Action.HALT, message="still decayed")
        line.edge.line.acknowledge_level()
        assert {record.role for record in line.parts(5)} == {"canary"}
        alarms.report("embedding", "cell/cam1", cause=Cause.UNKNOWN, action=Action.ADVISE, message="odd")
        assert {record.role for record in line.parts(5)} == {"active"}
        assert until(lambda: line.edge.registry.index().history[-1].action == "rollback")


def test_a_canary_ends_with_its_time_and_may_then_be_promoted(tmp_path: Path) -> None:
    with rig(tmp_path) as line:
        line.step(action="canary", model="good", minutes=0.02)
        assert until(lambda: line.edge.registry.index().history[-1].action == "canary-passed")
        assert {record.role for record in line.parts(5)} == {"active"}


def test_a_model_that_fails_on_trial_costs_no_part(tmp_path: Path) -> None:
    class Broken:
        def __init__(self, inner: Inspector) -> None:
            self.card, self._inner = inner.card, inner

        def prepare(self, pixels: Pixels, recipe: object) -> Prepared:
            return self._inner.prepare(pixels, recipe)  # type: ignore[arg-type]

        def inspect(self, prepared: Prepared) -> Inspection:
            raise InspectionError("out of memory")

    with rig(tmp_path) as line:
        line.step(action="canary", model="good", share=1.0)
        trial, setup = line.edge.rollout._canaries["cell"]
        line.edge.rollout._canaries["cell"] = (trial, Setup(setup.recipe, Broken(setup.inspector), "canary", trial=trial))
        records = line.parts(5)
        assert {(record.role, record.verdict.decision) for record in records} == {("active", records[0].verdict.decision)}
        assert all(record.score is not None for record in records)
        assert until(lambda: "out of memory" in line.edge.registry.index().history[-1].why)


def test_the_shadow_decides_nothing_counts_everything_and_asks_for_labels(tmp_path: Path) -> None:
    levels = [60, 230] * 200
    with rig(tmp_path, levels) as line:
        link = line.edge.rollout._ports.shadow_link
        link.rules = replace(link.rules, duty=1.0, label_agreements=0.1)
        line.step(action="shadow", model="blind")
        records = [line.parts(1)[0] for _ in range(60)]
        assert {record.role for record in records} == {"active"}
        shadow = line.edge.rollout.shadows()["cell"]
        counts = shadow.counts
        assert until(lambda: counts.judged + counts.shed == counts.offered == 60)
        run = run_name("cell", records[0].model_sha256, shadow.slot)
        store = ShadowStore(line.edge.database)
        assert until(lambda: sum(store.cells(run).values()) == counts.judged)
        cells = store.cells(run)
        assert cells["only_candidate_rejects"] == cells["both_reject"] == 0
        assert cells["only_active_rejects"] == len(store.disagreements(run)) == counts.disagreed > 0
        tickets = [ticket for record in records for ticket in line.edge.truth.tickets_of_part(record.part_id)]
        assert {ticket.purpose.value for ticket in tickets} == {"training"}
        assert {ticket.stratum: ticket.inclusion_probability for ticket in tickets}["only_active_rejects"] == 0.5
        line.step(action="shadow")
        assert line.edge.rollout.shadows() == {}


def test_a_promotion_by_another_process_is_followed(tmp_path: Path) -> None:
    from qc.release.transitions import By
    from qc.wiring.release import build_registry

    with rig(tmp_path) as line:
        line.step(action="shadow", model="good")  # the registry exists from now on
        other = build_registry(line.edge.settings.models)
        other.promote("cell", other.slot("good"), By("ann", "cli", "by hand"), override=True)
        assert until(lambda: line.edge.line.setup.recipe.model_id == "good")
        assert {record.model_id for record in line.parts(3)} == {"good"}


def test_an_active_model_that_cannot_be_loaded_gives_way_to_the_previous_one(tmp_path: Path) -> None:
    with rig(tmp_path) as line:
        line.step(action="promote", model="good", override=True, reason="r")
    file = tmp_path / "models" / "good" / "model.onnx"
    file.write_bytes(b"torn")
    with rig(tmp_path) as line:
        assert {record.model_id for record in line.parts(2)} == {"tiny"}
        assert line.edge.registry.index().history[-1].action == "fallback"
        assert any(alarm.quantity == "model" for alarm in line.edge.alarms.open_alarms())


def test_a_line_that_requires_signatures_starts_with_nothing_else(tmp_path: Path) -> None:
    from qc.domain.errors import ConfigError
    from qc.release.signing import make_keys, sign_bundle

    make_keys(tmp_path / "plant.key", tmp_path / "plant.pub")
    for folder in (tmp_path / "unsigned", tmp_path / "signed"):
        config = write_settings(folder, 1, mqtt="enabled = false")
        strict = 'directory = "models"\nrequire_signatures = true\npublic_keys = ["../plant.pub"]'
        config.write_text(config.read_text().replace('directory = "models"', strict))
        if folder.name == "signed":
            sign_bundle(folder / "models" / "tiny", tmp_path / "plant.key")
        settings = load_line(config, {})
        recipes = load_recipes(settings.recipes.directory)
        if folder.name == "unsigned":
            with pytest.raises(ConfigError, match="is not signed"):
                build_edge(settings, recipes)
        else:
            edge = build_edge(settings, recipes)
            assert edge.line.setup.recipe.model_id == "tiny"
            edge.store.close()

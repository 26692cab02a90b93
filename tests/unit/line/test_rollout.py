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
from qc.record.shadow_store import CELLS, ShadowStore
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

    def canary(self) -> dict[str, Json]:
        """What the state says of the running variant's canary."""
        told = self.edge.rollout.status()[0]["canary"]
        assert isinstance(told, dict)
        return told

    def parts(self, count: int) -> list[InspectionRecord]:
        """The records of the next ``count`` parts."""
        self.gate.let(count)
        self.seen += count
        assert until(lambda: self.edge.line.status().triggers >= self.seen)
        records = sorted(self.edge.store.find(limit=100_000), key=lambda record: record.seq)
        assert len(records) == self.seen
        return records[-count:]


@contextmanager
def rig(folder: Path, levels: list[int] | None = None, *, sampling: bool = False) -> Iterator[Rig]:
    config = write_settings(folder, 1, mqtt="enabled = false", sampling=sampling)
    for model_id in ("good", "blind", "nervous"):
        if not (folder / "models" / model_id).exists():
            bundle(folder, model_id, *{"blind": (1.0, 1.0), "nervous": (0.0, 0.0)}.get(model_id, (0.6, 0.8)))
    settings = load_line(config, {})
    gate = Gate(levels or [60] * 3000)
    # The script is read ahead by the source's own thread; the semaphore is what holds it.
    source = ScriptedSource("cam1", gate)
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
        told = line.canary()
        assert (told["model"], told["share"], told["parts"], told["withdrawn"]) == ("good", 0.3, len(canary), False)
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
            return self._inner.prepare(pixels, recipe)

        def inspect(self, prepared: Prepared) -> Inspection:
            raise InspectionError("out of memory")

    with rig(tmp_path) as line:
        line.step(action="canary", model="good", share=1.0)
        trial = line.edge.rollout._canaries["cell"]
        trial.setup = replace(trial.setup, inspector=Broken(trial.setup.inspector))
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


def say(line: Rig, records: list[InspectionRecord], truth: str, looks: int = 1) -> None:
    """Labels through the line's one door for them, until something ends the canary."""
    for record in records:
        for look in range(looks):
            ticket = next(t for t in line.edge.truth.tickets_of_part(record.part_id) if t.review_round == look + 1)
            body = {"ticket_id": ticket.ticket_id, "truth": truth, "labeller": f"inspector-{look}"}
            line.edge.control.handle(Command("label", body, WHO, "mqtt"))
        if line.edge.rollout._canaries["cell"].withdrawn():
            return


def test_labels_that_say_it_misses_defects_take_the_decision_back_at_the_next_part(tmp_path: Path) -> None:
    with rig(tmp_path, [230, 60] * 300, sampling=True) as line:
        line.step(action="canary", model="blind", share=1.0)
        missed = [record for record in line.parts(80) if record.score and record.score > 0.5]
        assert {record.role for record in missed} == {"canary"}
        say(line, missed, "defect", looks=2)  # a defect on an accepted part counts when a second look confirms it
        assert {record.role for record in line.parts(1)} == {"active"}
        assert until(lambda: line.edge.registry.index().history[-1].action == "rollback")
        last = line.edge.registry.index().history[-1]
        assert (last.who, last.model, last.former) == ("qc", "tiny", "blind")
        assert last.why == "labels say that its detection rate is out of bounds"


def test_evidence_from_labels_survives_a_restart(tmp_path: Path) -> None:
    with rig(tmp_path, [230] * 300, sampling=True) as line:
        line.step(action="canary", model="blind", share=1.0)
        records = line.parts(40)
        say(line, records[:2], "defect", looks=2)
        taken = line.canary()["labels"]
        assert taken == 4
    with rig(tmp_path, [230] * 300, sampling=True) as line:
        assert line.canary()["labels"] == taken
        say(line, records[2:], "defect", looks=2)
        assert line.edge.rollout._canaries["cell"].withdrawn()


def test_a_withdrawn_canary_ends_in_the_registry_as_soon_as_that_can_be_written(tmp_path: Path) -> None:
    with rig(tmp_path) as line:
        line.step(action="canary", model="good", share=1.0)
        lock = tmp_path / "models" / ".registry.lock"
        lock.unlink()
        lock.mkdir()  # the registry cannot be changed now
        line.edge.alarms.report("embedding", "cell/cam1", cause=Cause.UNKNOWN, action=Action.ADVISE, message="odd")
        assert {record.role for record in line.parts(3)} == {"active"}  # the line does not wait for it
        assert until(lambda: any(alarm.quantity == "canary" for alarm in line.edge.alarms.open_alarms()))
        assert line.canary()["withdrawn"]
        assert line.edge.registry.index().history[-1].action == "canary"
        lock.rmdir()
        assert until(lambda: line.edge.registry.index().history[-1].action == "rollback")
        assert line.edge.registry.index().history[-1].why == "alarm embedding: odd"
        assert until(lambda: line.edge.rollout.status()[0]["canary"] is None)
        rolled_back = line.edge.rollout.status()[0]["last_rollback"]
        assert isinstance(rolled_back, dict)
        assert (rolled_back["who"], rolled_back["former"], rolled_back["reason"]) == ("qc", "good", "alarm embedding: odd")


def test_an_alarm_that_took_the_decision_back_holds_over_a_kill_before_the_registry_heard_of_it(tmp_path: Path) -> None:
    lock = tmp_path / "models" / ".registry.lock"
    with rig(tmp_path) as line:
        line.edge.alarms.report("embedding", "cell/cam1", cause=Cause.UNKNOWN, action=Action.ADVISE, message="odd before")
        line.step(action="canary", model="good", share=1.0)
        assert {record.role for record in line.parts(3)} == {"canary"}
    with rig(tmp_path) as line:  # an alarm from before it began says nothing about it, after a restart neither
        assert {record.role for record in line.parts(3)} == {"canary"}
        lock.unlink()
        lock.mkdir()
        line.edge.alarms.report("score_drift", "cell/cam1", cause=Cause.UNKNOWN, action=Action.ADVISE, message="odd now")
    with rig(tmp_path) as line:
        assert {record.role for record in line.parts(3)} == {"active"}
        lock.rmdir()
        assert until(lambda: line.edge.registry.index().history[-1].action == "rollback")
        assert line.edge.registry.index().history[-1].why == "alarm score_drift: odd now"


def test_a_step_that_cannot_be_followed_is_told_and_tried_again(tmp_path: Path) -> None:
    from qc.release.transitions import By
    from qc.wiring.release import build_registry

    with rig(tmp_path) as line:
        rollout = line.edge.rollout
        line.step(action="shadow", model="good")
        other = build_registry(line.edge.settings.models)
        other.promote("cell", other.slot("blind"), By("ann", "cli", "by hand"), override=True)
        (tmp_path / "models" / "blind").rename(tmp_path / "models" / ".hidden")  # gone before the line has looked
        assert until(lambda: "blind" in str(rollout.status()[0]["trouble"]))
        assert {record.model_id for record in line.parts(3)} == {"tiny"}
        assert "model" in {alarm.quantity for alarm in line.edge.alarms.open_alarms()}
        (tmp_path / "models" / ".hidden").rename(tmp_path / "models" / "blind")
        rollout._retry_at_s = 0.0
        assert until(lambda: rollout.status()[0]["trouble"] == "")
        assert {record.model_id for record in line.parts(3)} == {"blind"}
        assert "model" not in {alarm.quantity for alarm in line.edge.alarms.open_alarms()}


def test_the_state_tells_of_every_recipe_the_running_one_first(tmp_path: Path) -> None:
    from qc.publish.payloads import RecipeRelease, state_payload

    with rig(tmp_path, [60, 230] * 100) as line:
        line.step(action="shadow", model="blind", share=0.5)
        line.step(action="canary", model="good", variant="other")
        line.parts(40)
        shadow = line.edge.rollout.shadows()["cell"]
        assert until(lambda: shadow.counts.judged + shadow.counts.shed + shadow.counts.skipped == shadow.counts.offered)

        def compared() -> int:
            counts = line.edge.rollout.status()[0]["shadow"]
            assert isinstance(counts, dict)
            assert counts["judged"] == shadow.counts.judged
            return sum(int(str(counts[cell])) for cell in CELLS)

        assert until(lambda: compared() == shadow.counts.judged)
        told = line.edge.rollout.status()
        assert [release["variant"] for release in told] == ["cell", "other"]
        canary = told[1]["canary"]
        assert isinstance(canary, dict)
        assert canary["model"] == "good"
        state_payload("release", {"releases": list(told)})  # obeys its schema, over MQTT and HTTP
        assert [RecipeRelease.model_validate(release, strict=False).variant for release in told] == ["cell", "other"]
        line.edge.control.handle(Command("recipe", {"variant": "other"}, WHO, "mqtt"))
        assert [release["variant"] for release in line.edge.rollout.status()] == ["other", "cell"]

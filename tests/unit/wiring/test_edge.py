"""One edge built from its settings: it starts and stops, remembers what it must, and refuses what it cannot run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.system.edge_process import write_images, write_settings

from qc.control import LEVEL_ALARM
from qc.domain.alarm import Action, Cause
from qc.domain.errors import CommandError, ConfigError, StoreError
from qc.domain.frame import Pixels
from qc.domain.ports import Command
from qc.ingest.camera import TriggeredCamera
from qc.ingest.fake import ScriptedSource
from qc.ingest.trigger import EachFrame
from qc.inspection.tiny import write_tiny_bundle
from qc.publish.payloads import STATE_PAYLOADS, state_payload
from qc.publish.silent import SilentPublisher
from qc.settings import load_line, load_recipes
from qc.wiring import Edge, build_edge

NO_BROKER = "enabled = false"


def picture(level: int) -> Pixels:
    pixels = np.full((32, 32, 3), level, np.uint8)
    pixels[::2, ::2] = level // 2
    return pixels


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@contextmanager
def edge_of(config: Path, pictures: int | None = None, *, running: bool = True) -> Iterator[Edge]:
    """The edge of a settings file; pictures: from a scripted camera instead of the settings' one."""
    settings = load_line(config, {})
    cameras = None
    if pictures is not None:
        script = [picture(60 + 37 * (number % 5)) for number in range(pictures)]
        cameras = [TriggeredCamera(ScriptedSource("cam1", script), EachFrame())]
    edge = build_edge(settings, load_recipes(settings.recipes.directory), cameras=cameras)
    if running:
        edge.start()
    try:
        yield edge
    finally:
        edge.stop()


def command(edge: Edge, name: str, **body: str) -> None:
    edge.control.handle(Command(name, body, who="anna", via="http"))


def use_model(config: Path, variant: str, model: str) -> None:
    recipe = config.parent / "recipes" / f"{variant}.toml"
    recipe.write_text(recipe.read_text().replace('model = "tiny"', f'model = "{model}"'))


def test_an_edge_inspects_the_folder_of_its_settings_and_stops_twice(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    names = write_images(tmp_path / "in", 6)
    with edge_of(config) as edge:
        assert until(lambda: edge.line.status().triggers == 6)
        edge.stop()
    with edge_of(config, running=False) as edge:
        assert sorted(record.part_id for record in edge.store.find(limit=100)) == names
        assert edge.line.status().triggers == 6  # the counters go on where they were


def test_a_watched_picture_is_not_inspected_again_after_a_restart(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    write_images(tmp_path / "in", 3)
    with edge_of(config) as edge:
        assert until(lambda: edge.line.status().triggers == 3)
    write_images(tmp_path / "in", 1, first=10)
    with edge_of(config) as edge:
        assert until(lambda: edge.line.status().triggers == 4)
        time.sleep(0.3)
        assert edge.line.status().triggers == 4


def test_an_edge_without_a_broker_piles_up_no_events(tmp_path: Path) -> None:
    with edge_of(write_settings(tmp_path, 1, mqtt=NO_BROKER), 50) as edge:
        assert isinstance(edge.publisher, SilentPublisher)
        assert until(lambda: edge.line.status().triggers == 50)
        command(edge, "pause")
        assert until(lambda: edge.store.depth().rows == 0)
        assert edge.store.find(limit=100)[0].seq >= 50


def test_the_variant_of_a_changeover_is_remembered_over_a_restart(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    with edge_of(config, 0) as edge:
        assert edge.line.setup.recipe.variant == "cell"
        command(edge, "recipe", variant="other")
    with edge_of(config, 0) as edge:
        assert edge.line.setup.recipe.variant == "other"
    (tmp_path / "recipes" / "other.toml").unlink()
    with edge_of(config, 0) as edge:
        assert edge.line.setup.recipe.variant == "cell"  # the remembered one is gone: back to recipes.active


def test_a_refused_model_at_changeover_leaves_the_previous_one_running(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    write_tiny_bundle(tmp_path / "models", "altered")
    with (tmp_path / "models" / "altered" / "model.onnx").open("ab") as model:
        model.write(b"x")
    use_model(config, "other", "altered")
    with edge_of(config, 20) as edge:
        with pytest.raises(CommandError, match="altered") as refused:
            command(edge, "recipe", variant="other")
        assert refused.value.code == "model_refused"
        assert until(lambda: edge.line.status().triggers == 20)
        assert {record.variant for record in edge.store.find(limit=100)} == {"cell"}
        assert edge.line.status().not_inspected == 0
    with edge_of(config, 0) as edge:
        assert edge.line.setup.recipe.variant == "cell"


@pytest.mark.parametrize("active", ["absent", "other"])
def test_an_edge_whose_first_setup_is_refused_does_not_start(tmp_path: Path, active: str) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    use_model(config, "other", "nowhere")
    config.write_text(config.read_text().replace('active = "cell"', f'active = "{active}"'))
    words = "no recipe for 'absent'" if active == "absent" else "nowhere"
    with pytest.raises(ConfigError, match=f"recipes.active.*{words}"), edge_of(config, 0):
        pass


def test_a_remembered_variant_that_can_no_longer_run_is_named_as_such(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    with edge_of(config, 0) as edge:
        command(edge, "recipe", variant="other")
    use_model(config, "other", "nowhere")
    with pytest.raises(ConfigError, match=r"'other', which the last changeover chose.*nowhere"), edge_of(config, 0):
        pass


def test_a_part_id_chooses_its_recipe(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    recipe = tmp_path / "recipes" / "other.toml"
    recipe.write_text(recipe.read_text().replace("[halt]", 'part_id_prefixes = ["part-000001"]\n[halt]', 1))
    write_images(tmp_path / "in", 3)
    with edge_of(config) as edge:
        assert until(lambda: edge.line.status().triggers == 3)
        variants = {record.part_id: record.variant for record in edge.store.find(limit=10)}
    assert variants == {"part-000000": "cell", "part-000001": "other", "part-000002": "cell"}


def test_two_edges_on_one_unusable_store_say_so(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "qc.sqlite3").write_bytes(b"this is no database " * 300)
    with pytest.raises(StoreError, match=r"qc\.sqlite3"), edge_of(config, 0):
        pass


def test_a_halt_that_an_alarm_asks_for_is_counted_over_a_restart(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    with edge_of(config, 0) as edge:
        alarm = edge.alarms.report(
            "detection_rate", "cell", cause=Cause.MODEL_DECAY, action=Action.HALT, message="fell below 90 %"
        )
        assert edge.line.status().level is Action.HALT
        assert edge.line.status().halts == 1
        edge.alarms.report(LEVEL_ALARM, "cell", cause=Cause.UNKNOWN, action=Action.HALT, message="its own echo")
        assert edge.line.status().halts == 1
        command(edge, "ack-alarm", alarm_id=alarm.alarm_id, operator="Bea")
    with edge_of(config, 0) as edge:
        assert edge.line.status().halts == 1


def test_a_run_of_rejects_raises_level_and_alarm_together(tmp_path: Path) -> None:
    config = write_settings(tmp_path, 1, mqtt=NO_BROKER)
    recipe = tmp_path / "recipes" / "cell.toml"
    recipe.write_text(recipe.read_text().replace("review_at = 0.6\nreject_at = 0.8", "review_at = 0.0\nreject_at = 0.0"))
    with edge_of(config, 40) as edge:
        assert until(lambda: edge.line.status().triggers == 40)
        assert until(lambda: any(alarm.quantity == LEVEL_ALARM for alarm in edge.alarms.open_alarms()))
        (alarm,) = [alarm for alarm in edge.alarms.open_alarms() if alarm.quantity == LEVEL_ALARM]
        assert alarm.parts
        assert edge.line.status().level is Action.HALT
        command(edge, "ack-alarm", alarm_id=alarm.alarm_id, operator="Bea")
        assert edge.line.status().level is Action.NONE
        assert not [alarm for alarm in edge.alarms.open_alarms() if alarm.quantity == LEVEL_ALARM]


def test_commands_before_the_edge_is_built_are_refused_as_busy() -> None:
    from qc.wiring.edge import _Handler

    with pytest.raises(CommandError, match="starting") as refused:
        _Handler()(Command("pause", {}, "mqtt", "mqtt"))
    assert refused.value.code == "busy"


# --- telemetry --------------------------------------------------------------------------------------------


class Ear:
    """A publisher that keeps the states it is given."""

    def __init__(self, edge: Edge) -> None:
        self.states: dict[str, dict] = {}
        self.status = edge.publisher.status

    def state(self, name: str, body: dict) -> None:
        self.states[name] = body


def test_every_state_is_one_that_the_schemas_know(tmp_path: Path) -> None:
    with edge_of(write_settings(tmp_path, 1, mqtt=NO_BROKER), 10) as edge:
        ear = Ear(edge)
        edge.telemetry._publisher = ear  # what it says, instead of sending it
        edge.telemetry.publish()
        assert until(lambda: edge.line.status().triggers == 10)
        edge.alarms.report("disk", "", cause=Cause.SYSTEM, action=Action.ADVISE, message="almost full", evidence=float("inf"))
        edge.line.pause()
        edge.telemetry.publish()
        states = ear.states
    assert set(states) <= set(STATE_PAYLOADS)
    assert {"line", "recipe", "model", "counters", "camera", "alarms"} <= set(states)
    for name, body in states.items():
        state_payload(name, body)  # raises for what is wrong
    assert states["counters"]["triggers"] == 10
    assert sum(states["counters"][key] for key in ("ok", "ng", "review", "not_inspected")) == 10
    assert states["line"]["state"] == "paused"
    assert states["recipe"]["variants"] == ["cell", "other"]
    assert [alarm["quantity"] for alarm in states["alarms"]["alarms"]] == ["disk"]
    (camera,) = states["camera"]["cameras"]
    assert (camera["camera"], camera["frames"], camera["fault"]) == ("cam1", 10, None)


def test_telemetry_goes_on_when_one_of_its_works_fails(tmp_path: Path) -> None:
    from qc.wiring import telemetry

    done: list[str] = []

    def fails() -> None:
        done.append("failed")
        raise StoreError("disk full")

    def breaks() -> None:
        done.append("broke")
        raise ZeroDivisionError

    with edge_of(write_settings(tmp_path, 1, mqtt=NO_BROKER), 0, running=False) as edge:
        heart = telemetry.Telemetry(
            edge.line,
            edge.publisher,
            cameras=list,
            alarms=list,
            variants=[],
            releases=list,
            images_dropped=lambda: 0,
            upkeep=[fails, breaks, lambda: done.append("done")],
            interval_s=0.001,
        )
        heart.start()
        assert until(lambda: done.count("done") >= 2)
        heart.close()
    assert done[:3] == ["failed", "broke", "done"]

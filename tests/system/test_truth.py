"""The truth street of a real edge: tickets, requests and labels over a real broker and kill -9; a simulated production; alarms."""

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.system.broker import Listener, Mosquitto, needs_mosquitto, wait_until
from tests.system.edge_process import EdgeProcess, write_images, write_settings

from qc.domain.errors import CommandError, PublishError
from qc.domain.frame import ImageQuality
from qc.domain.inspection import Inspection
from qc.label.plan import SamplingPlan
from qc.publish.client import CommandClient
from qc.publish.link import MqttOptions
from qc.publish.topics import EdgeName

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from benchmarks.truth_bank import LEVELS, PLAIN, Bank
from benchmarks.truth_world import VARIANT, Plant, Stage, World

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("truth")]

PICTURES = 600
EDGE = EdgeName("s", "a", "l", "e")


def rows(folder: Path, query: str) -> list[tuple]:
    """What another process sees in the edge's database; empty before it exists."""
    path = folder / "var" / "qc.sqlite3"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        try:
            return list(database.execute(query))
        except sqlite3.OperationalError:
            return []


def count(folder: Path, table: str) -> int:
    found = rows(folder, f"SELECT count(*) FROM {table}")
    return found[0][0] if found else 0


def sample_a_tenth(folder: Path) -> None:
    for recipe in (folder / "recipes").glob("*.toml"):
        recipe.write_text(recipe.read_text().replace("labels_per_window = 5000", "labels_per_window = 500"))


@needs_mosquitto
@pytest.mark.timeout(200)
def test_tickets_and_labels_survive_kill_9_and_travel_over_the_broker(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, persistent=True) as broker, Listener(broker.port, "qc/v1/+/+/+/+/evt/label-request") as ear:
        config = write_settings(tmp_path, broker.port, sampling=True)
        sample_a_tenth(tmp_path)
        write_images(tmp_path / "in", PICTURES)
        edge = EdgeProcess(config).start()
        for moment in (PICTURES // 3, 2 * PICTURES // 3):
            assert wait_until(lambda at=moment: count(tmp_path, "inspections") >= at, 60), edge.log()[-2000:]
            edge.kill()
            edge.start()
        assert wait_until(lambda: count(tmp_path, "inspections") == PICTURES, 60), edge.log()[-2000:]
        tickets = rows(tmp_path, "SELECT ticket_id, part_id FROM tickets WHERE purpose = 'estimate'")
        assert 25 <= len(tickets) <= 100  # 60 of 600 expected; five standard deviations are 37
        assert wait_until(lambda: len(ear.events()) == len(tickets), 30), f"{len(ear.events())} of {len(tickets)} heard"
        assert {(event["ticket_id"], event["part_id"]) for event in ear.events()} == set(tickets)
        assert not any("score" in event or "verdict" in event for event in ear.events())  # blind

        options = MqttOptions("127.0.0.1", broker.port)
        half = len(tickets) // 2
        with CommandClient(options, EDGE) as client:
            first = [client.send("label", answer(ticket, part, "anna")) for ticket, part in tickets[:half]]
        edge.kill()
        edge.start()
        with CommandClient(options, EDGE) as client:
            # Stored before the kill, so a repeat is noticed.
            assert "answered ticket" in refusal(client, answer(*tickets[0], "anna"))
            rest = [client.send("label", answer(ticket, part, "anna"), timeout_s=20) for ticket, part in tickets[half:]]
            # "anna" called one accepted part in ten defective: each needs a second look, by somebody else.
            further = sum(int(reply["further_looks"]) for reply in first + rest)
            assert wait_until(lambda: len(ear.events()) == len(tickets) + further, 20)
            second = [event for event in ear.events() if event["review_round"] == 2]
            assert second
            with pytest.raises(CommandError, match="someone else"):
                client.send("label", answer(second[0]["ticket_id"], second[0]["part_id"], "anna"))
            client.send("label", answer(second[0]["ticket_id"], second[0]["part_id"], "ben"))
        edge.kill()
    stored = {label for (label,) in rows(tmp_path, "SELECT label_id FROM labels")}
    assert len(stored) == len(tickets) + 1
    assert stored >= {reply["label_id"] for reply in first + rest}  # what was acknowledged is there after kill -9


def refusal(client: CommandClient, body: dict[str, object]) -> str:
    """Why the edge refuses this label; waits while it is still starting."""
    give_up_s = time.monotonic() + 60
    while time.monotonic() < give_up_s:
        try:
            client.send("label", body)
        except CommandError as error:
            return str(error)
        except PublishError:
            time.sleep(0.2)
    return "the edge never answered"


def answer(ticket_id: str, part_id: str, who: str) -> dict[str, object]:
    """Parts are dark to bright in turns of five; the brightest two are rejected. A quarter of the middle ones is called defective."""
    number = int(part_id.rsplit("-", 1)[1])
    defective = number % 5 >= 3 or number % 20 == 2
    truth = "defect" if defective else "good"
    return {"ticket_id": ticket_id, "truth": truth, "labeller": who}


def made_up_bank(cells: int = 400) -> Bank:
    """A model like the bundled one (DR .82, FPR .09) without its minutes of inference: scores, embeddings and quality at random."""
    rng = np.random.default_rng(5)
    defective = np.arange(cells) % 4 == 0
    logit = np.where(defective, rng.normal(0.2, 1.4, cells), rng.normal(-3.0, 1.4, cells))
    scores = 1 / (1 + np.exp(-logit))
    embeddings = rng.normal(0, 1, (cells, 16)).astype(np.float32) + defective[:, None]
    inspections, quality = {}, {}
    for condition in (PLAIN, "out of focus"):
        for level in LEVELS if condition == PLAIN else (-1, 0, 1):
            blurred = condition != PLAIN
            inspections[condition, level] = [
                Inspection(float(s), np.zeros((1, 1), np.float32), "m", embedding=e)
                for s, e in zip(scores, embeddings, strict=True)
            ]
            quality[condition, level] = [
                ImageQuality(
                    150 + level + rng.normal(0, 8), 29 + rng.normal(0, 3), (10 if blurred else 25) + rng.normal(0, 2), 0.4, 0.0
                )
                for _ in range(cells)
            ]
    return Bank((), defective, np.zeros(cells, bool), inspections, quality)


@pytest.mark.timeout(300)
def test_a_simulated_production_is_estimated_planned_and_watched(tmp_path: Path) -> None:
    """10,400 healthy parts with inspectors who err, then the camera loses its focus. Wide bounds: the draws are not seeded."""
    bank = made_up_bank()
    world = World(parts=2600, labels=100, prevalence=0.06)
    with Plant(bank, tmp_path, world, seed=1) as plant:
        names = []
        for _ in range(4):
            names.append(plant.edge.street.shifts.window_of(plant.clock.now()).name)
            plant.shift()
        asked = [plant.edge.truth.progress(name, plant.clock.now()).asked for name in names]
        assert all(40 <= number <= 160 for number in asked), asked  # 100 expected, six standard deviations
        plans = [plant.edge.truth.plan(VARIANT, plant.recipe_version, name) for name in names]
        strata = [len(SamplingPlan.from_json(plan.body).names) for plan in plans if plan is not None]
        assert strata[0] == 2  # nothing known yet
        assert min(strata[1:]) >= 4  # planned from what the shifts before taught
        plant.finish()
        report = plant.edge.street.rates.report()
        caught = bank.scores() >= plant.edge.line.setup.recipe.review_at
        for metric, truth in (
            ("detection_rate", caught[bank.defective].mean()),
            ("false_positive_rate", caught[~bank.defective].mean()),
        ):
            rate = report.overall.rates[metric]
            assert rate.estimate is not None
            assert rate.low is not None
            assert rate.high is not None
            assert rate.high - rate.low < 0.5
            assert rate.estimate + 2.5 * (rate.low - rate.estimate) < truth < rate.estimate + 2.5 * (rate.high - rate.estimate)
        assert report.overall.parts == 4 * world.parts
        assert report.challenge.n == 4 * world.challenges
        assert not plant.watch.alarms
        plant.stage = Stage("out of focus")
        plant.shift()
        alarms = {seen.first.quantity: seen for seen in plant.watch.alarms.values()}
        assert alarms["image_quality"].first.cause.value == "environment"
        assert alarms["image_quality"].part <= 5 * world.parts

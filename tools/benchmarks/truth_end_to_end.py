"""The same plant with nothing replayed: real pixels, real frame checks, the real model; requests and labels over a real mosquitto."""

import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.truth_bank import Bank
from benchmarks.truth_coverage import covers
from benchmarks.truth_world import START, Plant, World, cell_of
from qc.commands.embedded_broker import free_port
from qc.domain.errors import CommandError, ConfigError
from qc.publish.client import CommandClient, EdgeWatcher
from qc.publish.link import MqttOptions


def end_to_end(bank: Bank, parts: int, labels: int) -> dict[str, object]:
    """One shift of so many parts. Agreement with the replayed answers, and whether every request and label arrived."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        raise ConfigError("mosquitto is not installed (Debian package mosquitto)")
    port = free_port(0)
    world = World(parts=parts, labels=labels, prevalence=0.1)
    with tempfile.TemporaryDirectory(prefix="qc-truth-") as name:
        (Path(name) / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
        broker = subprocess.Popen([program, "-c", str(Path(name) / "mosquitto.conf")], stderr=subprocess.DEVNULL)
        time.sleep(1.0)
        try:
            return _with_broker(bank, world, Path(name) / "edge", port)
        finally:
            broker.terminate()
            broker.wait()


def _with_broker(bank: Bank, world: World, folder: Path, port: int) -> dict[str, object]:
    options = MqttOptions("127.0.0.1", port)
    with Plant(bank, folder, world, seed=1, real_model=True, mqtt_port=port, labeller="outside") as plant:
        crew = Crew(plant)
        with EdgeWatcher(options, plant.edge.name) as watcher, CommandClient(options, plant.edge.name) as client:
            crew.watch(watcher)
            plant.shift()
            refused = crew.label_everything(client)
        rates = plant.edge.street.rates.report(START, plant.clock.now()).overall.rates
        tickets = {ticket.ticket_id for ticket in plant.edge.truth.open_tickets(plant.clock.now())}
        answers = plant.edge.truth.answers()
        stored = {answer.ticket.ticket_id for answer in answers}
        judged = [
            (plant.is_defective(part), decision != "OK" and reason != "review_all")
            for part, score, decision, reason in plant.watch.records
            if score is not None and not part.startswith("challenge")
        ]
        true = [r for d, r in judged if d]
        return {
            "parts": len(plant.watch.records),
            "largest score difference to the replayed answers": _difference(bank, plant),
            "requests heard": len(crew.requests),
            "tickets stored": len(tickets | stored),
            "requests for unknown tickets": len(set(crew.requests) - tickets - stored),
            "labels accepted over MQTT": len(answers),
            "labels refused": refused,
            "DR true, estimated": (sum(true) / len(true), rates["detection_rate"].estimate),
            "DR interval covers": covers(rates["detection_rate"], sum(true) / len(true)),
        }


def _difference(bank: Bank, plant: Plant) -> float:
    """Each part's score by the running model against what the bank holds for its cell at any exposure of its lot."""
    worst = 0.0
    for part_id, score, _, _ in plant.watch.records:
        if score is not None:
            known = [bank.inspections["as it was", level][cell_of(part_id)].score for level in (-2, -1, 0, 1, 2)]
            worst = max(worst, min(abs(score - other) for other in known))
    return worst


class Crew:
    """Inspectors who sit behind the broker: all they know is what the requests say, and what they see."""

    def __init__(self, plant: Plant) -> None:
        self.requests: dict[str, dict[str, object]] = {}
        self._plant = plant
        self._answered: set[str] = set()
        self._looked: dict[str, set[str]] = {}

    def watch(self, watcher: EdgeWatcher) -> None:
        threading.Thread(target=self._listen, args=(watcher,), daemon=True).start()

    def _listen(self, watcher: EdgeWatcher) -> None:
        while True:
            message = watcher.next(0.5)
            if message is not None and message.leaf == "evt/label-request":
                self.requests[str(message.body["ticket_id"])] = dict(message.body)

    def label_everything(self, client: CommandClient) -> int:
        """Until no request has come for two seconds; returns how many labels were refused."""
        refused, quiet_since = 0, time.monotonic()
        while time.monotonic() - quiet_since < 2.0:
            waiting = [request for ticket, request in list(self.requests.items()) if ticket not in self._answered]
            for request in waiting:
                quiet_since = time.monotonic()
                ticket, part = str(request["ticket_id"]), str(request["part_id"])
                looked = self._looked.setdefault(part, set())
                name = next(who for who in ("anna", "ben", "carla") if who not in looked)
                looked.add(name)
                self._answered.add(ticket)
                try:
                    client.send("label", self._plant.answer(ticket, part, name), timeout_s=30)
                except CommandError:
                    refused += 1
            time.sleep(0.05)
        return refused

"""kill -9 in the middle of promotions, rollbacks, canaries and shadows: every part gets its one verdict, and the registry a working model."""

import contextlib
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.system.broker import Mosquitto, needs_mosquitto, wait_until
from tests.system.edge_process import EdgeProcess, write_images, write_settings
from tests.system.test_line import recorded

from qc.domain.errors import QcError
from qc.inspection.session import seal_bundle
from qc.inspection.tiny import tiny_card, tiny_model_bytes
from qc.publish.client import CommandClient
from qc.publish.link import MqttOptions
from qc.publish.topics import EdgeName
from qc.release.registry import Registry

pytestmark = [pytest.mark.system, needs_mosquitto, pytest.mark.xdist_group("line")]

STEPS = (
    {"action": "shadow", "model": "next"},
    {"action": "canary", "model": "next", "share": 0.5},
    {"action": "rollback"},
    {"action": "promote", "model": "next", "override": True},
    {"action": "rollback"},
    {"action": "shadow"},
)


@pytest.mark.timeout(300)
def test_every_part_has_one_verdict_whatever_step_is_killed(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        config = write_settings(tmp_path, broker.port)
        seal_bundle(tmp_path / "models" / "next", tiny_model_bytes(), replace(tiny_card("next"), review_at=0.6, reject_at=0.8))
        registry = Registry(tmp_path / "models")
        edge, names = EdgeProcess(config).start(), []
        rng = random.Random(3)
        for round_ in range(len(STEPS)):
            names += write_images(tmp_path / "in", 60, first=1000 * round_)
            begun = len(names) - 55
            assert wait_until(lambda at=begun: len(recorded(tmp_path)) >= at, 60), edge.log()[-3000:]
            with contextlib.suppress(QcError), CommandClient(MqttOptions("127.0.0.1", broker.port), NAME) as client:
                for step in STEPS[: round_ + 1]:
                    with contextlib.suppress(QcError):
                        client.send("model", {"operator": "kim", "reason": "drill", **step}, timeout_s=rng.uniform(0.01, 1.5))
            time.sleep(rng.uniform(0, 0.05))
            edge.kill()
            for state in registry.index().recipes.values():
                for slot in state.slots():
                    assert registry.prove(slot.model).sha256 == slot.sha256
            edge.start()
        names += write_images(tmp_path / "in", 20, first=9000)  # the last start is up when these are done
        assert wait_until(lambda: len(recorded(tmp_path)) >= len(names), 90), edge.log()[-3000:]
        assert edge.stop() == 0
    assert sorted(part for _, part, _ in recorded(tmp_path)) == sorted(names)
    assert registry.index().history, "no step got through"


NAME = EdgeName("s", "a", "l", "e")

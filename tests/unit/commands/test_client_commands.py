"""Which edge a client command means, and what it refuses before it asks anybody."""

from pathlib import Path

import pytest
from tests.system.broker import free_port
from tests.system.edge_process import write_settings

from qc.commands.replay import replay
from qc.commands.status import status
from qc.commands.target import target
from qc.commands.watch import watch
from qc.domain.errors import ConfigError, PublishError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(tmp_path, free_port(), mqtt='client_id = "edge-1"\nusername = "u"')


def test_the_settings_own_edge_is_meant_unless_another_is_named(config: Path) -> None:
    options, name = target(config, "")
    assert str(name) == "s/a/l/e"
    assert str(target(config, "p/q/r/t")[1]) == str(target(config, "qc/v1/p/q/r/t/")[1]) == "p/q/r/t"
    assert options.username == "u"
    assert not options.client_id  # the edge's own id would throw it off the broker


@pytest.mark.parametrize("edge", ["p/q/r", "p/q/r/t/u", "P/q/r/t", "p/#/r/t"])
def test_an_impossible_edge_is_refused(config: Path, edge: str) -> None:
    with pytest.raises(ConfigError):
        target(config, edge)


@pytest.mark.parametrize(
    ("from_seq", "since", "words"),
    [
        (None, "", "either --from-seq or --since"),
        (3, "2026-11-24T06:00:00+01:00", "either --from-seq or --since"),
        (None, "yesterday", "--since 'yesterday'"),
    ],
)
def test_a_replay_needs_one_readable_start(config: Path, from_seq: int | None, since: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replay(config, "", from_seq=from_seq, since=since)


def test_a_broker_that_is_away_is_named(config: Path) -> None:
    with pytest.raises(PublishError, match="nothing listens"):
        status(config, "", as_json=True)
    with pytest.raises(PublishError, match="nothing listens"):
        replay(config, "", from_seq=1, since="")
    with pytest.raises(PublishError, match="nothing listens"):
        watch(config, "", all_edges=False)

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.publish.samples import NAME

from qc.domain.errors import ConfigError
from qc.domain.record import EventKind
from qc.publish.topics import EdgeName, Topics, split_topic

TOPICS = Topics(NAME)
ROOT = "qc/v1/plant-1/hall_2/line3/edge-a"


def test_the_table() -> None:
    assert TOPICS.status == f"{ROOT}/status"
    assert TOPICS.state("kpi") == f"{ROOT}/state/kpi"
    assert TOPICS.event(EventKind.LABEL_REQUEST) == f"{ROOT}/evt/label-request"
    assert TOPICS.command("pause") == f"{ROOT}/cmd/pause"
    assert TOPICS.commands == f"{ROOT}/cmd/+"
    assert TOPICS.thumb("top") == f"{ROOT}/image/top/thumb"


@pytest.mark.parametrize("bad", ["", "Plant", "a/b", "+", "#", "ä", "a b", "x" * 65, "a\n"])
def test_a_bad_level_is_named(bad: str) -> None:
    with pytest.raises(ConfigError, match="line = "):
        EdgeName("s", "a", bad, "e")


@given(st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True), st.sampled_from(["status", "state/kpi", "evt/line"]))
def test_split_is_the_inverse(level: str, leaf: str) -> None:
    name = EdgeName(level, "a", "b", level)
    assert split_topic(f"{Topics(name).root}/{leaf}") == (name, leaf)
    assert EdgeName.parse(str(name)) == name


@given(st.text(max_size=60))
def test_foreign_topics_split_to_none_or_a_valid_edge(topic: str) -> None:
    found = split_topic(topic)
    assert found is None or topic.endswith(found[1])


def test_edge_names_need_four_levels() -> None:
    with pytest.raises(ConfigError, match="site/area/line/edge"):
        EdgeName.parse("plant/line")


@pytest.mark.parametrize(
    "topic", ["", "a/+", "#", "$SYS/x", f"{ROOT}/evt/inspection", f"{ROOT}/status", "qc/v1/a/b/c/d/cmd/pause"]
)
def test_answers_do_not_go_where_they_could_do_harm(topic: str) -> None:
    assert not TOPICS.may_respond_to(topic)


def test_answers_go_below_the_edge_or_elsewhere() -> None:
    assert TOPICS.may_respond_to(TOPICS.reply("mes"))
    assert TOPICS.may_respond_to("mes/answers/7")

import json
import re

from tests.unit.publish.samples import NAME

from qc.publish.homeassistant import discovery_messages
from qc.publish.payloads import CountersState, InspectionPayload, StatusPayload
from qc.publish.topics import Topics

MODELS = {
    Topics(NAME).status: StatusPayload,
    Topics(NAME).state("counters"): CountersState,
    f"{Topics(NAME).root}/evt/inspection": InspectionPayload,
}


def test_every_template_reads_a_field_that_exists() -> None:
    messages = discovery_messages(NAME, "0.1.0")
    assert len(messages) == 9
    for _, payload in messages:
        config = json.loads(payload)
        found = re.fullmatch(r"\{\{ value_json\.(\w+) \}\}", config["value_template"])
        assert found is not None
        assert found[1] in MODELS[config["state_topic"]].model_fields


def test_ids_and_topics_are_unique_and_well_formed() -> None:
    messages = discovery_messages(NAME, "0.1.0", prefix="ha")
    ids = [json.loads(payload)["unique_id"] for _, payload in messages]
    assert len(set(ids)) == len(ids)
    for topic, _ in messages:
        assert re.fullmatch(r"ha/(sensor|binary_sensor)/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)

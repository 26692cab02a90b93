import importlib.util
from pathlib import Path

import jsonschema
import pytest
import yaml

from qc.publish.asyncapi import document
from qc.publish.commands import COMMANDS
from qc.publish.payloads import EVENT_PAYLOADS, STATE_PAYLOADS

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "docs" / "asyncapi.yaml"


def test_the_committed_document_is_current() -> None:
    spec = importlib.util.spec_from_file_location("make_asyncapi", ROOT / "tools" / "make_asyncapi.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert COMMITTED.read_text(encoding="utf-8") == tool.render(), "run tools/make_asyncapi.py"


def test_every_topic_of_the_table_has_a_channel() -> None:
    channels = document("1.0.0")["channels"]
    leaves = {channel["address"].split("}/", 4)[-1] for channel in channels.values() if channel["address"]}
    expected = {"status"} | {f"state/{name}" for name in STATE_PAYLOADS} | {f"evt/{kind.value}" for kind in EVENT_PAYLOADS}
    assert leaves == expected | {f"cmd/{name}" for name in COMMANDS}


def test_every_reference_resolves() -> None:
    text = document("1.0.0")

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target: object = text
                for step in node["$ref"].removeprefix("#/").split("/"):
                    assert isinstance(target, dict)
                    target = target[step]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(text)


@pytest.mark.parametrize("name", document("1.0.0")["components"]["schemas"])
def test_every_schema_is_valid_json_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(document("1.0.0")["components"]["schemas"][name])


def test_consumers_accept_fields_of_later_versions_but_commands_refuse_typing_errors() -> None:
    schemas = yaml.safe_load(COMMITTED.read_text(encoding="utf-8"))["components"]["schemas"]
    assert "additionalProperties" not in schemas["InspectionPayload"]
    assert schemas["PauseCommand"]["additionalProperties"] is False

"""One line of JSON per event for machines, whoever logs; text for people."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from qc.commands.logs import set_up_logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    config, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.configure(**config)
    root.handlers, root.level = handlers, level


def speak(level: str = "info", style: str = "json", stream: io.StringIO | None = None) -> list[str]:
    stream = stream or io.StringIO()
    set_up_logs(level, style, stream)
    log = structlog.get_logger("qc.test")
    log.debug("whispered")
    log.info("camera_lost", camera="cam1", error='broken "pipe"\nsecond line')
    try:
        raise ValueError("oops")
    except ValueError:
        log.exception("part_not_judged", part="P1")
    logging.getLogger("uvicorn.error").warning("from a %s", "library")
    return stream.getvalue().splitlines()


def test_json_has_one_parseable_line_per_event_with_time_and_level() -> None:
    lost, failed, library = (json.loads(line) for line in speak())
    assert (lost["event"], lost["level"], lost["camera"]) == ("camera_lost", "info", "cam1")
    assert lost["error"] == 'broken "pipe"\nsecond line'
    assert lost["ts"].endswith("Z")
    assert "ValueError: oops" in failed["exception"]
    assert (library["event"], library["level"]) == ("from a library", "warning")


def test_the_level_holds_for_everybody() -> None:
    events = [json.loads(line)["event"] for line in speak(level="warning")]
    assert events == ["part_not_judged", "from a library"]
    assert json.loads(speak(level="debug")[0])["event"] == "whispered"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_means_text_on_a_terminal_and_json_elsewhere() -> None:
    text = "\n".join(speak(style="auto", stream=Terminal()))
    assert "camera_lost" in text
    assert "Traceback" in text
    assert not text.startswith("{")
    assert json.loads(speak(style="auto")[0])["event"] == "camera_lost"
    assert "\x1b[" not in "\n".join(speak(style="text"))  # no colours into a file

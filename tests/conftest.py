"""What all tests share: logs stay short (the default renderer prints every local of a traceback, which takes seconds)."""

from collections.abc import Iterator

import pytest
import structlog

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-replay", action="store_true", help="rewrite tests/replay/*.json with what the line says now")


@pytest.fixture(autouse=True)
def _log_settings_end_with_the_test() -> Iterator[None]:
    """Commands under test set up logs for their whole process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)

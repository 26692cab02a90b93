"""What all tests share: logs stay short (the default renderer prints every local of a traceback, which takes seconds)."""

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

"""What all tests share: logs stay short (the default renderer prints every local of a traceback, which takes seconds)."""

import structlog

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

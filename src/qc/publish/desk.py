"""The command desk: one worker thread and a bounded queue, so that no command can stall the network or the line."""

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from qc.domain.errors import CommandError
from qc.domain.ports import CommandHandler
from qc.publish.commands import parse_command, response
from qc.publish.payloads import rfc3339

log = structlog.get_logger(__name__)

REMEMBERED = 1000
"""How many answers are kept to recognise a repeated command by."""


@dataclass(frozen=True, slots=True)
class RawCommand:
    """A message from ``cmd/+`` as it came; received_s: monotonic clock; expiry_s: what was left of its message expiry."""

    name: str
    payload: bytes
    retained: bool = False
    received_s: float = 0.0
    expiry_s: float | None = None
    response_topic: str | None = None
    correlation: bytes | None = None


Respond = Callable[[RawCommand, bytes], None]


class CommandDesk:
    """Takes raw commands without blocking, runs the good ones one after another, answers all.

    ``respond`` gets the answer's JSON; it must not block. A repeated command (same name with the same CorrelationData or
    command_id within ``repeat_window_s``) is answered from memory and not run again.
    """

    def __init__(
        self,
        handler: CommandHandler,
        respond: Respond,
        *,
        max_bytes: int = 64 * 1024,
        max_waiting: int = 16,
        repeat_window_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.taken = 0
        self.refused = 0
        self._handler = handler
        self._respond = respond
        self._max_bytes = max_bytes
        self._repeat_window_s = repeat_window_s
        self._clock = clock
        self._waiting: queue.Queue[RawCommand | None] = queue.Queue(max_waiting)
        self._answers: OrderedDict[tuple[str, bytes], tuple[float, bytes]] = OrderedDict()
        self._counts = threading.Lock()
        self._worker = threading.Thread(target=self._work, name="qc-commands", daemon=True)

    def start(self) -> None:
        self._worker.start()

    def take(self, raw: RawCommand) -> None:
        """Queue a message; refuses it with ``busy`` when too many wait. Never blocks, never raises."""
        with self._counts:
            self.taken += 1
        try:
            self._waiting.put_nowait(raw)
        except queue.Full:
            self._refuse(raw, CommandError("busy", f"{self._waiting.maxsize} commands wait already; try again"))

    def close(self, timeout_s: float) -> None:
        """Stop after the command that runs now; those still waiting are dropped (their senders time out)."""
        while True:
            try:
                self._waiting.put_nowait(None)
                break
            except queue.Full:
                try:
                    self._waiting.get_nowait()
                except queue.Empty:
                    continue
        if self._worker.is_alive():
            self._worker.join(timeout_s)

    def _work(self) -> None:
        while (raw := self._waiting.get()) is not None:
            try:
                self._execute(raw)
            except Exception:
                log.exception("command_desk_failed", command=raw.name[:80])

    def _execute(self, raw: RawCommand) -> None:
        try:
            if raw.retained:
                raise CommandError("retained", "commands must not be retained; publish it again without the retain flag")
            if raw.expiry_s is not None and self._clock() - raw.received_s >= raw.expiry_s:
                raise CommandError("expired", "the message expiry passed before the command could run")
            command, command_id = parse_command(raw.name, raw.payload, self._max_bytes)
        except CommandError as error:
            self._refuse(raw, error)
            return
        key = (raw.name, raw.correlation or command_id.encode())
        known = self._answers.get(key) if key[1] else None
        if known is not None and self._clock() - known[0] < self._repeat_window_s:
            self._respond(raw, known[1])
            return
        try:
            result = self._handler(command)
            answer = response(raw.name, command_id, _now(), result=result)
        except CommandError as error:
            self._count_refusal(raw, error)
            answer = response(raw.name, command_id, _now(), error=error)
        except Exception as error:
            log.exception("command_failed", command=raw.name)
            failure = CommandError("internal", f"the edge failed at it ({type(error).__name__}); see its log")
            self._count_refusal(raw, failure)
            answer = response(raw.name, command_id, _now(), error=failure)
        if key[1]:
            self._answers[key] = (self._clock(), answer)
            self._answers.move_to_end(key)
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        self._respond(raw, answer)

    def _refuse(self, raw: RawCommand, error: CommandError) -> None:
        self._count_refusal(raw, error)
        self._respond(raw, response(raw.name, "", _now(), error=error))

    def _count_refusal(self, raw: RawCommand, error: CommandError) -> None:
        with self._counts:
            self.refused += 1
        log.warning("command_refused", command=raw.name[:80], code=error.code, error=str(error))


def _now() -> str:
    return rfc3339(datetime.now(UTC))

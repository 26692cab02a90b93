"""Chunks of work over processes of this machine, or over a Ray cluster with the ``fleet`` extra: one ``map`` for both."""

import logging
import multiprocessing
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import structlog

from qc.domain.errors import ReleaseError

J = TypeVar("J")
C = TypeVar("C")
R = TypeVar("R")


class Workers(Protocol):
    def map(self, work: Callable[[J, C], R], job: J, chunks: Sequence[C]) -> Iterator[R]:
        """work(job, chunk) of every chunk, in the order of the chunks. What a worker raises is raised here."""

    def close(self) -> None:
        """Give back what was started."""


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """processes 1: in this process."""

    processes: int = 1

    def close(self) -> None:
        """Nothing stays open."""

    def map(self, work: Callable[[J, C], R], job: J, chunks: Sequence[C]) -> Iterator[R]:
        if self.processes == 1 or len(chunks) < 2:
            yield from (work(job, chunk) for chunk in chunks)
            return
        # spawn: a forked child would inherit threads of onnxruntime that do not exist in it.
        pool = ProcessPoolExecutor(self.processes, multiprocessing.get_context("spawn"), initializer=_quiet)
        try:
            with (
                _interrupts_ignored()
            ):  # by the workers: Ctrl-C is for this process, which lets them finish what they have in hand
                waiting = deque(pool.submit(work, job, chunk) for chunk in chunks)
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise ReleaseError(
                "a worker process was killed (out of memory?); the same call goes on; try fewer processes"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _quiet() -> None:
    """A worker says only what is wrong, and not between the results on standard output."""
    level = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=level, logger_factory=structlog.PrintLoggerFactory(sys.stderr))


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process inherits an ignored SIGINT. Only the main thread can set signals; elsewhere nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


class RayWorkers:
    """address: of a running cluster (``auto`` or ray://host:port), empty starts one on this machine. Raises ReleaseError."""

    def __init__(self, address: str = "", *, cpus: int | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise ReleaseError("Ray is not installed; install the fleet extra: pip install 'qc-edge[fleet]'") from None
        self._ray: Any = ray
        try:
            ray.init(address=address or None, num_cpus=None if address else cpus, log_to_driver=False, ignore_reinit_error=True)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise ReleaseError(f"no Ray cluster at {address or 'this machine'}: {error}") from error

    def map(self, work: Callable[[J, C], R], job: J, chunks: Sequence[C]) -> Iterator[R]:
        remote, shared = self._ray.remote(work), self._ray.put(job)
        limit = 2 * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        waiting: deque[Any] = deque()
        for chunk in chunks:  # not all at once: a year of parts would fill the cluster's memory
            waiting.append(remote.remote(shared, chunk))
            if len(waiting) >= limit:
                yield self._get(waiting.popleft())
        while waiting:
            yield self._get(waiting.popleft())

    def close(self) -> None:
        self._ray.shutdown()

    def _get(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None

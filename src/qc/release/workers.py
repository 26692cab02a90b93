"""Chunks of work over processes of this machine, or over a Ray cluster with the ``fleet`` extra: one ``map`` for both."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from qc.domain.errors import ReleaseError

J = TypeVar("J")
C = TypeVar("C")
R = TypeVar("R")


class Workers(Protocol):
    def map(self, work: Callable[[J, C], R], job: J, chunks: Sequence[C]) -> Iterator[R]:
        """work(job, chunk) of every chunk, in the order of the chunks. What a worker raises is raised here."""


@dataclass(frozen=True, slots=True)
class LocalWorkers:
    """processes 1: in this process."""

    processes: int = 1

    def map(self, work: Callable[[J, C], R], job: J, chunks: Sequence[C]) -> Iterator[R]:
        if self.processes == 1 or len(chunks) < 2:
            yield from (work(job, chunk) for chunk in chunks)
            return
        # spawn: a forked child would inherit threads of onnxruntime that do not exist in it.
        with ProcessPoolExecutor(self.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            waiting = deque(pool.submit(work, job, chunk) for chunk in chunks)
            try:
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


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

"""One sentence instead of the many ways in which Python, torch and onnxruntime say that there is no memory left."""

from collections.abc import Iterator
from contextlib import contextmanager

from qc.domain.errors import TrainingError

SIGNS = ("allocate", "bad_alloc", "out of memory")


@contextmanager
def out_of_memory_told() -> Iterator[None]:
    """Raises TrainingError for whatever means that memory ran out; every other error passes."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in SIGNS):
            raise TrainingError(
                "out of memory: set a smaller side in the recipe, or close other programs; finished steps are kept and taken up again"
            ) from error
        raise

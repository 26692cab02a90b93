"""Back-test: archived parts judged again by any bundle. What would it have decided, and how would the rates have changed?

The results are appended to one file, a JSON line per part, so that an interrupted run goes on where it stopped. The work is cut into chunks
of event ids; a worker loads the model once and reads pictures itself. Workers are processes of this machine or of a Ray cluster
(``workers.py``): both run ``judge_chunk``. On a cluster the record database and the pictures must lie on a shared file system.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from qc.domain.errors import BadImage, InspectionError, ReleaseError, UnknownPart
from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord
from qc.ingest.decode import decode
from qc.inspection.session import Runtime, load_inspector
from qc.record.database import Database
from qc.record.image_reader import ImageReader
from qc.release.workers import Workers

CHUNK = 50


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know. Thresholds are those at which the bundle would decide."""

    bundle: Path
    database: Path
    images: Path
    review_at: float
    reject_at: float
    recipes: Mapping[str, Recipe]


@dataclass(frozen=True, slots=True)
class Again:
    """One part judged again. before, after: decisions; problem: why it could not be judged, then after is empty."""

    event_id: str
    part_id: str
    variant: str
    before: str
    after: str
    score_before: float | None
    score_after: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class BacktestReport:
    """changed: (before, after) -> parts. Shares are of the parts that could be judged again; REVIEW counts as a reject."""

    parts: int
    unreadable: int
    changed: Mapping[tuple[str, str], int]
    rejected_before: float
    rejected_after: float

    @property
    def same(self) -> int:
        return self.parts - self.unreadable - sum(self.changed.values())


Item = tuple[str, str, str, str, float | None]
"""event id, part id, variant, decision and score of the recorded inspection: all that travels to a worker."""


def item_of(record: InspectionRecord) -> Item:
    return record.event_id, record.part_id, record.variant, record.verdict.decision.value, record.score


def run_backtest(items: Sequence[Item], job: Job, results: Path, workers: Workers) -> Iterator[tuple[int, int]]:
    """Judge what ``results`` does not hold yet; yields (done, all) after every chunk. Raises ReleaseError, BundleError."""
    known = {again.event_id for again in read_results(results)}
    todo = [item for item in items if item[0] not in known]
    done = len(items) - len(todo)
    yield done, len(items)
    chunks = [todo[at : at + CHUNK] for at in range(0, len(todo), CHUNK)]
    try:
        with results.open("a", encoding="utf-8") as file:
            for found in workers.map(judge_chunk, job, chunks):
                file.writelines(json.dumps(asdict(again)) + "\n" for again in found)
                file.flush()
                done += len(found)
                yield done, len(items)
    except OSError as error:
        raise ReleaseError(f"{results}: cannot be written ({error.strerror})") from error


def judge_chunk(job: Job, items: Sequence[Item]) -> list[Again]:
    """What a worker does: read the pictures of these parts and judge them."""
    inspector, images = _tools(job.bundle, job.database, job.images)
    return [_judge(job, item, inspector, images) for item in items]


@lru_cache(maxsize=1)
def _tools(bundle: Path, database: Path, images: Path) -> tuple[Inspector, ImageReader]:
    """Loaded once in each process."""
    return load_inspector(bundle, Runtime(intra_op_threads=1)), ImageReader(Database(database), images)


def _judge(job: Job, item: Item, inspector: Inspector, images: ImageReader) -> Again:
    event_id, part_id, variant, before, score_before = item
    recipe = job.recipes.get(variant) or Recipe(variant, "", job.review_at, job.reject_at)
    try:
        pixels = decode(images.load(event_id).content, name=event_id)
        score = inspector.inspect(inspector.prepare(pixels, recipe)).score
    except (UnknownPart, BadImage, InspectionError) as error:
        return Again(event_id, part_id, variant, before, "", score_before, None, str(error))
    after = "NG" if score >= job.reject_at else "REVIEW" if score >= job.review_at else "OK"
    return Again(event_id, part_id, variant, before, after, score_before, score)


def read_results(results: Path) -> list[Again]:
    """Results so far; a last line that a kill has torn is cut off the file. Raises ReleaseError for a file of something else."""
    if not results.exists():
        return []
    text = results.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        results.write_text(whole, "utf-8")
    try:
        return [Again(**json.loads(line)) for line in whole.splitlines()]
    except (ValueError, TypeError) as error:
        raise ReleaseError(f"{results}: holds no back-test results ({error}); name another file") from error


def summary(found: Sequence[Again], items: Sequence[Item]) -> BacktestReport:
    """Of the asked parts only: the file may hold more."""
    wanted = {item[0] for item in items}
    mine = [again for again in found if again.event_id in wanted]
    judged = [again for again in mine if again.after]
    changed = Counter((again.before, again.after) for again in judged if again.before != again.after)
    total = max(1, len(judged))
    return BacktestReport(
        parts=len(mine),
        unreadable=len(mine) - len(judged),
        changed=dict(sorted(changed.items())),
        rejected_before=sum(again.before in ("NG", "REVIEW") for again in judged) / total,
        rejected_after=sum(again.after in ("NG", "REVIEW") for again in judged) / total,
    )

"""Back-test: archived parts judged again by any bundle. What would it have decided, and how would the rates have changed?

The results are appended to one file, a JSON line per part below a line that names the model, so that an interrupted run goes on where it
stopped. The work is cut into chunks of event ids; a worker loads the model once and reads pictures itself. Workers are processes of this
machine or of a Ray cluster (``workers.py``): both run ``judge_chunk``. On a cluster the record database and the pictures must lie on a shared
file system.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from qc.domain.errors import BadImage, InspectionError, ReleaseError, UnknownPart
from qc.domain.model import ModelCard
from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.domain.record import InspectionRecord
from qc.domain.verdict import Decision
from qc.ingest.decode import decode
from qc.inspection.session import Runtime, load_inspector
from qc.record.archive_policy import ArchivePolicy
from qc.record.database import Database
from qc.record.image_reader import ImageReader
from qc.record.part_search import PartQuery, PartSearch
from qc.release.workers import Workers

CHUNK = 20
"""Parts whose results an interruption may lose, per process."""
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know. recipes: for region and ignored areas; a recipe that names this very model gives its thresholds too."""

    bundle: Path
    card: ModelCard
    database: Path
    images: Path
    recipes: Mapping[str, Recipe]

    def recipe(self, variant: str) -> Recipe:
        """The recipe as it would judge: with the thresholds at which the bundle would decide."""
        known = self.recipes.get(variant)
        if known is not None and known.model_id == self.card.model_id:
            return known
        base = known or Recipe(variant, "", 0.0, 0.0)
        return replace(base, model_id=self.card.model_id, review_at=self.card.review_at, reject_at=self.card.reject_at)

    @property
    def name(self) -> dict[str, str]:
        """The first line of the results: another model, or other thresholds, must not go on with them."""
        thresholds = sorted((variant, self.recipe(variant).review_at, self.recipe(variant).reject_at) for variant in self.recipes)
        return {"format": "qc.backtest/1", "model": self.card.model_id, "sha256": self.card.sha256, "thresholds": str(thresholds)}


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
class Item:
    """A recorded inspection, as it travels to a worker. drawn: its picture was kept by the archive's even draw, or because
    all parts with its verdict are kept; a part that was kept for another reason (a label) stands for no other part."""

    event_id: str
    part_id: str
    variant: str
    decision: str
    score: float | None
    drawn: bool


def item_of(record: InspectionRecord, policy: ArchivePolicy) -> Item:
    drawn = record.verdict.decision is not Decision.OK or policy.samples(record)
    return Item(record.event_id, record.part_id, record.variant, record.verdict.decision.value, record.score, drawn)


def history(database: Path, policy: ArchivePolicy, query: PartQuery) -> tuple[list[Item], Counter[tuple[str, str]]]:
    """The parts whose picture was kept, newest first, and how many have a verdict, by (variant, decision). Raises ReleaseError."""
    if not database.exists():
        raise ReleaseError(f"{database}: this line has not recorded anything yet")
    items: list[Item] = []
    recorded: Counter[tuple[str, str]] = Counter()
    with closing(Database(database)) as opened:
        search = PartSearch(opened)
        while page := search.find(replace(query, limit=_PAGE)):
            for record in (found.record for found in page):
                if record.verdict.decision is not Decision.NOT_INSPECTED:
                    recorded[record.variant, record.verdict.decision.value] += 1
                    if record.image_ref is not None:
                        items.append(item_of(record, policy))
            query = replace(query, before_seq=page[-1].record.seq)
    if not items:
        raise ReleaseError(f"no kept picture among the {sum(recorded.values())} parts with a verdict then; see storage.ok_share")
    return items, recorded


def run_backtest(items: Sequence[Item], job: Job, results: Path, workers: Workers) -> Iterator[tuple[int, int]]:
    """Judge what ``results`` does not hold yet; yields (done, all) after every chunk. Raises ReleaseError, BundleError."""
    known = {again.event_id for again in read_results(results, job)}
    todo = [item for item in items if item.event_id not in known]
    done = len(items) - len(todo)
    yield done, len(items)
    chunks = [todo[at : at + CHUNK] for at in range(0, len(todo), CHUNK)]
    try:
        with results.open("a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write(json.dumps(job.name) + "\n")
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
    recipe = job.recipe(item.variant)
    was = item.event_id, item.part_id, item.variant, item.decision
    try:
        pixels = decode(images.load(item.event_id).content, name=item.event_id)
        score = inspector.inspect(inspector.prepare(pixels, recipe)).score
    except (UnknownPart, BadImage, InspectionError) as error:
        return Again(*was, "", item.score, None, str(error))
    after = Decision.NG if score >= recipe.reject_at else Decision.REVIEW if score >= recipe.review_at else Decision.OK
    return Again(*was, after.value, item.score, score)


def read_results(results: Path, job: Job) -> list[Again]:
    """Results so far; a last line that a kill has torn is cut off the file. Raises ReleaseError for a file of something else."""
    if not results.exists():
        return []
    try:
        text = results.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            results.write_text(whole, "utf-8")
        head, *lines = whole.splitlines() or [json.dumps(job.name)]
        if json.loads(head) != job.name:
            raise ReleaseError(
                f"{results}: holds results of another model or of other thresholds ({head[:200]}); name another file"
            )
        return [Again(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise ReleaseError(f"{results}: holds no back-test results ({error}); name another file") from error

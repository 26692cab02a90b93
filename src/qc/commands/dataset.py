"""``qc dataset``: from the record store to a training data set, and what to label next for training."""

import hashlib
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from qc.commands.logs import set_up_logs
from qc.domain.clock import SystemClock
from qc.domain.errors import ConfigError, DatasetError, UnknownPart
from qc.domain.truth import Answer, Purpose, Truth
from qc.domain.verdict import Decision
from qc.label.strata import is_accepted_stratum
from qc.record.database import Database
from qc.record.image_reader import ImageReader
from qc.record.part_search import PartQuery, PartSearch
from qc.record.training_parts import TrainingPartReader
from qc.record.truth_store import SqliteTruthStore
from qc.release.evidence import pixel_hash
from qc.release.suggest import suggest, tickets_of
from qc.settings import LineSettings, load_line, load_recipes
from qc.training.dataset import Dataset, Sample, read_dataset, read_image
from qc.training.importing import merge_datasets

_PAGE = 500
_TRAINABLE = (Purpose.ESTIMATE, Purpose.ADJUDICATE, Purpose.TRAINING)
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which labelled parts are exported; every condition is optional. purpose: why they were labelled.

    test_share: of the parts (by part id, so all pictures of a part stay together) that are marked ``test``: never for training,
    so that they may judge the next model. group: ``part`` or ``run`` (camera and shift) is what must stay on one side of a split.
    names: beginning of a part id (barcode) -> variant in the data set; a new variant that ran under another's recipe gets its own name.
    """

    since: datetime | None = None
    until: datetime | None = None
    variant: str = ""
    verdict: str = ""
    label: str = ""
    purpose: str = ""
    test_share: float = 0.0
    group: str = "part"
    names: Mapping[str, str] = field(default_factory=dict)


def names_of(pairs: Sequence[str]) -> dict[str, str]:
    """``START=VARIANT`` as typed -> ``Choice.names``. Raises ConfigError."""
    names = {}
    for pair in pairs:
        start, sign, variant = pair.partition("=")
        if not (start and sign and variant):
            raise ConfigError(f"--name {pair!r}: write START=VARIANT, for example poly-=solar-poly")
        names[start] = variant
    return names


def export(config: Path, out: Path, choice: Choice, *, add_to: Path | None = None) -> int:
    """Write ``out`` (images/, manifest.csv), check it, and say what was left out; exit code 1 when the checks find errors.

    add_to: an existing data set whose samples come first; copies of them are left out. Labels that estimate the running model's rates keep
    ``purpose`` estimate in the manifest; a model trained on them is judged by later windows only (the gate leaves them out by itself).
    """
    settings = load_line(config)
    _check(choice)
    left_out: Counter[str] = Counter()
    with closing(recorded_database(settings)) as database, tempfile.TemporaryDirectory(prefix="qc-export-") as folder:
        staging = Path(folder).resolve()
        base = read_dataset(add_to) if add_to else Dataset(staging, ())
        samples = _uncontradicted(tuple(_samples(settings, database, choice, staging, left_out)), base, left_out)
        if not samples:
            raise DatasetError(f"no labelled part with a picture fits; left out: {dict(left_out) or 'nothing'}")
        made = merge_datasets(base, Dataset(staging, samples), out)
    left_out["copy of another picture"] += len(made.copies)
    purposes = Counter(sample.purpose or "earlier" for sample in made.dataset)
    print(f"{len(made.dataset)} pictures in {out}: {', '.join(f'{n} {name}' for name, n in sorted(purposes.items()))}")
    for reason, count in sorted(left_out.items()):
        if count:
            print(f"left out: {count} ({reason})")
    return check(out)


def check(path: Path) -> int:
    """The data checks of the training, in a process of their own; exit code 1 for errors."""
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "qc.training.check_export", str(path)], check=False).returncode


def ask_for_training(config: Path, *, count: int, days: float, variant: str, dry_run: bool) -> int:
    """Choose parts worth labelling for training and put them into the queue (after all estimation tickets)."""
    settings = load_line(config)
    if variant and variant not in (recipes := load_recipes(settings.recipes.directory)):
        raise ConfigError(f"no recipe for {variant!r}; there are {', '.join(sorted(recipes))}")
    now = SystemClock().now()
    since = now - timedelta(days=days)
    with closing(recorded_database(settings)) as database:
        reader = TrainingPartReader(database)
        candidates, known = reader.unasked(since, now, variant=variant), reader.asked(since, now, variant=variant)
        chosen = suggest(candidates, known, count)
        if chosen and not dry_run:
            tickets = tickets_of(chosen, now, timedelta(hours=settings.sampling.ticket_hours))
            SqliteTruthStore(database).add(tickets=tickets)
    for suggestion in chosen:
        record = suggestion.record
        print(f"{record.part_id}  {record.variant}  {suggestion.reason}  score {record.score:.3f}")
    print(f"{len(chosen)} parts {'would be' if dry_run else 'are'} in the queue for training")
    if not chosen:
        print(
            f"no part with a kept picture and without a label request in the last {days:g} days ({len(known)} were asked for already)"
        )
    return 0


def _samples(
    settings: LineSettings, database: Database, choice: Choice, staging: Path, left_out: Counter[str]
) -> Iterator[Sample]:
    images, truth = ImageReader(database, settings.storage.directory / "images"), SqliteTruthStore(database)
    search, last = PartSearch(database), None
    while True:
        page = search.find(_query(choice, last))
        for part in page:
            record = part.record
            last = record.seq
            answers = truth.answers_of_event(record.event_id)
            answer, reason = _settled(answers)
            if answer is None:
                left_out[reason] += 1
                continue
            purposes = {one.ticket.purpose for one in answers}
            purpose = Purpose.ESTIMATE if Purpose.ESTIMATE in purposes else answer.ticket.purpose
            if choice.purpose and purpose.value != choice.purpose:
                continue
            try:
                blob = images.load(record.event_id)
            except UnknownPart:
                left_out["its picture is not kept"] += 1
                continue
            path = staging / f"{_file_name(record.part_id)}-{record.event_id[-6:]}{_SUFFIXES[blob.media_type]}"
            path.write_bytes(blob.content)
            defective = answer.label.truth is Truth.DEFECT
            yield Sample(
                image=path,
                label="defect" if defective else "good",
                defect=(answer.label.defect_type or "defect") if defective else "",
                variant=next((v for start, v in choice.names.items() if record.part_id.startswith(start)), record.variant),
                environment=record.camera_id,
                group=record.part_id if choice.group == "part" else f"{record.camera_id}/{record.shift}",
                split="test" if _share(record.part_id) < choice.test_share else "train" if choice.test_share else "",
                purpose=purpose.value,
            )
        if len(page) < _PAGE:
            return


def _uncontradicted(samples: Sequence[Sample], base: Dataset, left_out: Counter[str]) -> tuple[Sample, ...]:
    """Without pictures that, to the pixel, carry both labels here, or another one in the base set: one wrong label among many must not
    stop an export, and nobody can tell here which it is."""
    said: dict[str, set[str]] = {}
    hashes = [pixel_hash(read_image(sample)) for sample in samples]
    for sample, key in zip(samples, hashes, strict=True):
        said.setdefault(key, set()).add(sample.label)
    for sample in base:
        if (key := pixel_hash(read_image(sample))) in said:
            said[key].add(sample.label)
    kept = tuple(sample for sample, key in zip(samples, hashes, strict=True) if len(said[key]) == 1)
    left_out["the same picture carries both labels"] += len(samples) - len(kept)
    return kept


def _settled(answers: list[Answer]) -> tuple[Answer | None, str]:
    """The last word on a part, or why there is none: what nothing corrects, of the latest look."""
    corrected = {answer.label.corrects for answer in answers}
    standing = [answer for answer in answers if answer.label.label_id not in corrected and answer.ticket.purpose in _TRAINABLE]
    if not standing:
        return None, "labelled only as a known or challenge part"
    last = max(standing, key=lambda answer: (answer.label.review_round, answer.label.labelled_at))
    if last.label.truth is Truth.UNSURE:
        return None, "the labeller was unsure"
    first_look = last.ticket.purpose is Purpose.ESTIMATE and last.label.review_round == 1
    if first_look and last.label.truth is Truth.DEFECT and is_accepted_stratum(last.ticket.stratum):
        return None, "a defect on an accepted part that waits for its second look"
    return last, ""


def _query(choice: Choice, before_seq: int | None) -> PartQuery:
    return PartQuery(
        choice.since,
        choice.until,
        Decision(choice.verdict) if choice.verdict else None,
        choice.variant or None,
        label=Truth(choice.label).value if choice.label else "any",
        before_seq=before_seq,
        limit=_PAGE,
    )


def _check(choice: Choice) -> None:
    """Raises ConfigError for a word that is none of those allowed."""
    for option, said, allowed in (
        ("--verdict", choice.verdict, [decision.value for decision in Decision if decision is not Decision.NOT_INSPECTED]),
        ("--label", choice.label, [Truth.GOOD.value, Truth.DEFECT.value]),
        ("--purpose", choice.purpose, [purpose.value for purpose in _TRAINABLE]),
        ("--group", choice.group, ["part", "run"]),
    ):
        if said and said not in allowed:
            raise ConfigError(f"{option} {said!r}: one of {', '.join(allowed)}")


def recorded_database(settings: LineSettings) -> Database:
    """Raises ConfigError when there is none."""
    set_up_logs("warning", "text")  # what is opened on the way is not what was asked
    path = settings.storage.directory / "qc.sqlite3"
    if not path.exists():
        raise ConfigError(f"{path}: this line has not recorded anything yet")
    return Database(path)


def _share(part_id: str) -> float:
    """A number in [0, 1) that is always the same for a part."""
    digest = hashlib.blake2b(f"export:{part_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


def _file_name(part_id: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in part_id)[:80] or "part"

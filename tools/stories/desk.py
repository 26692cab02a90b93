"""The engineer's desk: data sets, models, limits and the gate. Everything is done by the product's own code or commands."""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from scipy.stats import binom

from qc.commands.dataset import Choice, export
from qc.domain.model import ModelCard
from qc.domain.recipe import Recipe
from qc.evaluate.wilson import wilson_interval
from qc.inspection.session import Runtime, load_inspector
from qc.training.dataset import Sample, read_dataset, read_image
from qc.training.importing import merge_datasets
from stories import models
from stories.home import RUN_PARTS, Bounds, Home
from stories.pictures import Capture, Deck, Pools, product_of
from stories.scenario import Scenario

TRIES_AT_THE_GATE = 3
MOST_ASKED = 250
"""More further parts of one kind than this the engineer does not collect for the gate."""
_RUN_BY_CHANCE = 1e-4
"""The shipped run rule, 8 NG of 10, is for lines that rarely reject; where NG is common more are asked for."""
_NEVER_SHOWN = 100
"""Takes of kept parts start here: another capture than any that production shows."""
_FOR_TRAINING = 200
"""The take of the first model's pictures: captured on this line, like everything that the model will see."""
Wanted = Mapping[str, tuple[int, int]]
"""Product -> (defects, good parts)."""


@dataclass
class Desk:
    """cards: of every model so far. golden: parts kept for the gate, from pictures on which nothing is trained."""

    home: Home
    scenario: Scenario
    seed: int
    pools: Pools
    cache: Path
    rng: np.random.Generator
    say: Callable[[str], None]
    cards: dict[str, ModelCard] = field(default_factory=dict)
    looked_at: int = 0
    """Parts that somebody labelled at the desk, not on the line."""
    _kept: int = 0
    _decks: dict[tuple[str, bool], Deck] = field(default_factory=dict)
    _train_set: Path = Path()
    _candidate_set: Path = Path()
    _golden: Path = Path()
    _gate_set: Path = Path()

    def __post_init__(self) -> None:
        products = [*self.scenario.known, *(product for arrival in self.scenario.arrivals for product in arrival)]
        self._decks = self.decks("gate", products)

    # --- commissioning --------------------------------------------------------------------------------------

    def commission(self) -> str:
        """The first model, and the golden set; returns the model's id."""
        s = self.scenario
        train = [sample for sample in self.pools["train"] if product_of(sample) in s.known]
        self._train_set = self.home.set_folder("train-1")
        captures = [(f"t{i:04d}", Capture(sample, _FOR_TRAINING)) for i, sample in enumerate(train)]
        models.write_set(self._train_set, captures, keep_groups=True)
        model = f"{s.name}-1"
        self.cards[model] = self._trained(self._train_set, model)
        each = (int(np.ceil(s.golden_defects / len(s.known))), int(np.ceil(s.golden_good / len(s.known))))
        self._golden = self._collected("golden-1", dict.fromkeys(s.known, each))
        return model

    def bounds(self, model: str) -> Bounds:
        """What a line with this model is held against: limits of its rates on the golden set, not their estimates."""
        card, dataset = self.cards[model], read_dataset(self._golden)
        inspector, recipe = load_inspector(self.home.models / model, Runtime(intra_op_threads=1)), Recipe("", model, 0.5, 0.5)
        scores = np.array([inspector.inspect(inspector.prepare(read_image(s), recipe)).score for s in dataset])
        rejected, defective = scores >= card.review_at, dataset.labels.astype(bool)
        floor = float(wilson_interval(int(rejected[defective].sum()), int(defective.sum()), 0.99)[0])
        ceiling = float(wilson_interval(int(rejected[~defective].sum()), int((~defective).sum()), 0.99)[1])
        prevalence = self.scenario.prevalence
        thrown_out = scores[~defective] >= card.reject_at
        ng = prevalence + (1 - prevalence) * float(wilson_interval(int(thrown_out.sum()), len(thrown_out), 0.99)[1])
        chance = binom.sf(np.arange(RUN_PARTS) - 1, RUN_PARTS, ng)  # of so many NG or more
        run_rejects = int(np.argmax(np.append(chance, 0.0) < _RUN_BY_CHANCE))
        baseline = min(prevalence + (1 - prevalence) * ceiling, 0.85)
        return Bounds(max(floor - 0.05, 0.05), min(ceiling + 0.02, 0.9), baseline, min(max(run_rejects, 8), RUN_PARTS))

    def write_recipe(self, model: str, bounds: Bounds, *, labels: int) -> None:
        card = self.cards[model]
        thresholds = (card.review_at, card.reject_at)
        self.home.write_recipe(self.scenario, model, thresholds, bounds, labels=labels, seed=self.seed)

    # --- another model --------------------------------------------------------------------------------------

    def retrain(self, name: str, parent: str, since: datetime, products: Sequence[str], *, again: bool) -> dict[str, object]:
        """What was labelled since then, merged with the set before, checked, trained with the parent.

        again: added to the candidate's set that the gate refused, instead of the active model's.
        """
        base = self._candidate_set if again else self._train_set
        self._candidate_set = self.home.set_folder(f"train-{name}")
        told = self._export(self._candidate_set, since, products, base)
        merged, before = read_dataset(self._candidate_set), read_dataset(self._train_set)
        self.cards[name] = card = self._trained(self._candidate_set, name, parent)
        new = len(merged) - len(before)
        self.say(f"trained {name} on {len(merged)} pictures, {new} of them from production")
        return {"pictures": len(merged), "new": new, "review_at": card.review_at, "reject_at": card.reject_at, "export": told}

    def pass_gate(
        self, candidate: str, active: str, *, since: datetime, products: Sequence[str], again: bool
    ) -> list[dict[str, object]]:
        """What the gate said, try by try. since: when the stretch began in which every part is labelled. again: its parts join those of
        the stretch before."""
        base = self._gate_set if again else self._golden
        self._gate_set = self.home.set_folder(f"gate-{candidate}-0")
        self._export(self._gate_set, since, products, base)
        said: list[dict[str, object]] = []
        for attempt in range(1, TRIES_AT_THE_GATE + 1):
            answer = models.run_gate(
                self.home, candidate, active, data=self._gate_set, training=self._candidate_set, rules=self.scenario.gate_rules
            )
            (self.home.folder / f"gate-{candidate}-{attempt}.txt").write_text(answer.text, "utf-8")
            said.append({"model": candidate, "outcome": answer.outcome, "parts": answer.report.parts, "open": answer.open_checks})
            self.say(f"gate, try {attempt}, {answer.report.parts} parts: {answer.outcome}; {'; '.join(answer.open_checks)}")
            if answer.outcome != "NOT ENOUGH EVIDENCE" or not answer.needed or attempt == TRIES_AT_THE_GATE:
                break
            if not self._add_to_gate(f"gate-{candidate}-{attempt}", answer.needed, products):
                self.say("no further picture can be had: all that were collected repeat earlier ones")
                break
        return said

    def accept(self) -> None:
        """The candidate is promoted: its set and the gate's are those of the next round."""
        self._train_set, self._golden = self._candidate_set, self._gate_set

    # --- what these are made of -----------------------------------------------------------------------------

    def decks(self, pool: str, products: Sequence[str]) -> dict[tuple[str, bool], Deck]:
        """(product, defective) -> captures of the pool's pictures, where it has some."""

        def of(product: str, defective: bool) -> list[Sample]:
            return [s for s in self.pools[pool] if product_of(s) == product and s.is_defect is defective]

        found = {(p, d): of(p, d) for p in products for d in (False, True)}
        return {key: Deck(samples, self.scenario.takes, self.rng) for key, samples in found.items() if samples}

    def _trained(self, data: Path, model: str, parent: str = "") -> ModelCard:
        return models.train_model(
            self.home, data, model, recipe_file=self.scenario.recipe_file, seed=self.seed, cache=self.cache, parent=parent
        )

    def _export(self, target: Path, since: datetime, products: Sequence[str], add_to: Path) -> str:
        """``qc dataset export`` with the products' names by barcode, added to an earlier set."""
        variants = sorted({s.variant for pool in self.pools.values() for s in pool if product_of(s) in products})
        choice = Choice(since=since, names={f"{variant}-": variant for variant in variants})
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            code = export(self.home.line_toml, target, choice, add_to=add_to)
        self.say(f"exported {target.name}: {told.getvalue().splitlines()[0]}; data checks: {'errors' if code else 'no errors'}")
        return told.getvalue()

    def _add_to_gate(self, name: str, needed: Wanted, products: Sequence[str]) -> bool:
        """Further parts of the kinds that the gate asked for, as far as that is reasonable; False when nothing was gained: copies of
        pictures that are there already are left out, as everywhere."""
        wanted: dict[str, tuple[int, int]] = {}
        for variant, counts in needed.items():
            of = [p for p in products if variant in ("", p)] or list(products)
            share = tuple(int(np.ceil(min(count, MOST_ASKED) / len(of))) for count in counts)
            for product in of:
                before = wanted.get(product, (0, 0))
                wanted[product] = (max(before[0], share[0]), max(before[1], share[1]))
        before, more = read_dataset(self._gate_set), self._collected(f"{name}-more", wanted)
        self.looked_at += len(read_dataset(more))
        self._gate_set = self.home.set_folder(name)
        return len(merge_datasets(before, read_dataset(more), self._gate_set).dataset) > len(before)

    def _collected(self, name: str, wanted: Wanted) -> Path:
        """Captured on the line from the pool of the gate."""
        captures = []
        for product, counts in wanted.items():
            for defective, count in zip((True, False), counts, strict=True):
                for _ in range(count):
                    self._kept += 1
                    capture = self._decks[product, defective].next()
                    captures.append((f"kept-{self._kept:05d}", Capture(capture.sample, capture.take + _NEVER_SHOWN)))
        models.write_set(self.home.set_folder(name), captures)
        return self.home.set_folder(name)

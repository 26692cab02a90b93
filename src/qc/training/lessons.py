"""Out-of-fold courses of the branches that are trained by gradient, and how long they last."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from qc.training import distributed
from qc.training.backbone import Backbone
from qc.training.branches import Index, Material
from qc.training.cell_branch import cell_loss, new_cells
from qc.training.course import BATCH, Course, Lesson, Plan, take_course
from qc.training.features import Progress
from qc.training.finetune import new_tail, tail_loss

MIN_FOR_CELLS = 16
MIN_FOR_FINETUNE = 50
"""Images of the rarer class that a branch needs to be worth its time; cross-validation decides whether it is used."""

MIN_TOTAL_FOR_FINETUNE = 300
MAX_CELLS_FOR_FINETUNE = 32 * 32
"""Cells of the low map (stride 8): at finer inputs fine-tuning would take an hour, and the cell branch sees more there."""

STEPS = {"cells": 240, "finetune": 400}
EPOCHS = {"cells": (4, 24), "finetune": (6, 16)}
MAX_STEPS = 1200
"""A course lasts STEPS batches, within these bounds on passes over the data, which yield to MAX_STEPS for large sets: fixed
counts, so that two runs are the same.

Measured on 1,968 solar cells, held-out AUROC after 1 to 4 passes of fine-tuning: .944, .950, .954, .954 with a falling loss.
"""


@dataclass(frozen=True)
class Learnt:
    """branch: trained on all images. scores: (n,) out of fold. curves: mean training and held-out loss per epoch."""

    branch: nn.Module
    scores: NDArray[np.float64]
    epochs: int
    curves: tuple[list[float], list[float]]


def lessons_for(backbone: Backbone, material: Material, *, cells: bool, finetune: bool) -> list[Lesson]:
    """What these labels and this input size are enough for, as far as the recipe wants it."""
    labels, places = material.labels, int(np.prod(material.store.maps[0].shape[2:]))
    rarest = min(int(labels.sum()), int((labels == 0).sum()))
    lessons = []
    if cells and rarest >= MIN_FOR_CELLS:
        lessons.append(Lesson("cells", new_cells, cell_loss))
    enough = rarest >= MIN_FOR_FINETUNE and len(labels) >= MIN_TOTAL_FOR_FINETUNE
    if finetune and enough and places <= MAX_CELLS_FOR_FINETUNE:
        stage = backbone.stages[2]
        lessons.append(Lesson("finetune", lambda material, _: new_tail(stage, material), tail_loss))
    return lessons


def passes(name: str, count: int) -> int:
    """Passes over ``count`` images.

    >>> [passes("finetune", count) for count in (300, 1000, 2000, 20_000)]
    [16, 6, 6, 1]
    """
    wanted = int(np.clip(round(STEPS[name] * BATCH / count), *EPOCHS[name]))
    return max(1, min(wanted, round(MAX_STEPS * BATCH / count)))


def learn(lesson: Lesson, material: Material, folds: Index, *, flips: bool, seed: int, work: Path, progress: Progress) -> Learnt:
    """One course per fold, judged on the images it did not see; then one on everything, stopped where the folds were best.

    Early stopping: the number of epochs is the one with the lowest held-out loss over all folds together.
    """
    plan = Plan(passes(lesson.name, len(folds)), flips, seed)
    courses: list[tuple[Index, Course]] = []
    for number in np.unique(folds):
        train, held_out = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        name = f"{lesson.name}, fold {number + 1} of {folds.max() + 1}"
        checkpoint = work / f"{lesson.name}-{number}.pt"
        course = take_course(
            lesson, material, train, plan, held_out=held_out, checkpoint=checkpoint, progress=progress, name=name
        )
        courses.append((held_out, course))
    held_out_loss = np.mean([c.held_out_loss for _, c in courses], 0)
    train_loss = np.mean([c.train_loss for _, c in courses], 0)
    best = int(held_out_loss.argmin()) + 1
    scores = np.zeros(len(folds))
    for held_out, course in courses:
        scores[held_out] = course.scores[best - 1]
    everything = np.arange(len(folds))
    final = take_course(
        lesson,
        material,
        everything,
        replace(plan, last=best),
        checkpoint=work / f"{lesson.name}-all.pt",
        progress=progress,
        name=f"{lesson.name}, all images",
    )
    distributed.barrier()
    return Learnt(final.branch, scores, best, (train_loss.tolist(), held_out_loss.tolist()))

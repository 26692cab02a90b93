"""Gradient training of a branch on cached maps: draws, augmentation, schedule, checkpoints, held-out curve."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from qc.domain.errors import TrainingError
from qc.training import distributed
from qc.training.branches import Index, Material
from qc.training.features import Progress, Taps

BATCH = 16
BACKBONE_RATE, HEAD_RATE = 3e-4, 2e-3
BACKBONE_DECAY, HEAD_DECAY = 0.02, 0.05
SMOOTHING = 0.05
JITTER = 0.15
WARM_UP = 0.05
CLIP = 2.0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is trained. start: a new branch for (material, index). loss: (branch, taps, labels, masks, known) -> scalar."""

    name: str
    start: Callable[[Material, Index], nn.Module]
    loss: Callable[[nn.Module, Taps, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Plan:
    """epochs: passes over as many draws as there are images, which the learning rate is planned for. flips: mirror and turn
    the maps. seed: of draws and heads. last: stop after this epoch; 0: after all.
    """

    epochs: int
    flips: bool
    seed: int
    last: int = 0


@dataclass(frozen=True)
class Course:
    """What one training went through. scores: (epochs, held-out images) at the end of each epoch."""

    branch: nn.Module
    train_loss: list[float]
    held_out_loss: list[float]
    scores: NDArray[np.float64]


def take_course(
    lesson: Lesson,
    material: Material,
    index: Index,
    plan: Plan,
    *,
    held_out: Index | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    name: str = "fine-tuning",
) -> Course:
    """Train on ``index``; score ``held_out`` after every epoch. A checkpoint file of the same plan is taken up again."""
    torch.manual_seed(plan.seed)
    branch = lesson.start(material, index).to(distributed.device())
    optimiser = _optimiser(branch)
    steps = max(1, int(np.ceil(len(index) / BATCH)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step / (steps * plan.epochs)))
    trained = distributed.wrap(branch)
    losses: tuple[list[float], list[float], list[NDArray[np.float64]]] = ([], [], [])
    first = _resume(checkpoint, branch, optimiser, schedule, losses)
    for epoch in range(first, plan.last or plan.epochs):
        generator = np.random.default_rng((plan.seed, epoch))
        torch.manual_seed(plan.seed * 1000 + epoch)
        branch.train()
        total = 0.0
        for number, batch in enumerate(_draws(material, index, steps, generator)):
            loss = _loss(trained, lesson, material, batch, flips=plan.flips, generator=generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            nn.utils.clip_grad_norm_(branch.parameters(), CLIP)
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            if progress:
                progress(name, epoch * steps + number + 1, steps * (plan.last or plan.epochs))
        branch.eval()
        scores, held_out_loss = _evaluate(branch, material, held_out) if held_out is not None else (np.zeros(0), 0.0)
        losses[0].append(total / steps)
        losses[1].append(held_out_loss)
        losses[2].append(scores)
        _save(checkpoint, branch, optimiser, schedule, losses)
    branch.eval()
    return Course(branch, losses[0], losses[1], np.stack(losses[2]))


def _optimiser(branch: nn.Module) -> torch.optim.Optimizer:
    """The pretrained stage learns slowly, new heads fast."""
    pretrained = [p for n, p in branch.named_parameters() if n.startswith("stage.")]
    heads = [p for n, p in branch.named_parameters() if not n.startswith("stage.")]
    groups = [{"params": heads, "lr": HEAD_RATE, "weight_decay": HEAD_DECAY}]
    if pretrained:
        groups.append({"params": pretrained, "lr": BACKBONE_RATE, "weight_decay": BACKBONE_DECAY})
    return torch.optim.AdamW(groups)


def _rate(done: float) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    return max(done / WARM_UP, 0.02) if done < WARM_UP else 0.01 + 0.495 * (1 + np.cos(np.pi * min(done, 1.0)))


def _draws(material: Material, index: Index, steps: int, generator: np.random.Generator) -> Iterator[Index]:
    """Batches in which both classes are equally likely; this process's share of them."""
    labels, weights = material.labels[index], material.weights[index].astype(np.float64)
    chance = np.zeros(len(index))
    for value in (0, 1):
        chance[labels == value] = weights[labels == value] / weights[labels == value].sum() / 2
    for _ in range(steps):
        batch = generator.choice(index, BATCH, p=chance)
        yield batch[distributed.rank() :: distributed.world_size()]


def _loss(
    trained: nn.Module,
    lesson: Lesson,
    material: Material,
    batch: Index,
    *,
    flips: bool,
    generator: np.random.Generator,
) -> Tensor:
    taps = material.draw(batch, generator)
    place = taps.low.device
    labels = torch.from_numpy(material.labels[batch]).float().to(place)
    masks, known = (part.to(place) for part in material.masks(batch))
    low, middle, masks = _disturb(taps.low, taps.middle, masks, flips, generator)
    smoothed = labels * (1 - 2 * SMOOTHING) + SMOOTHING
    return lesson.loss(trained, Taps(low, middle, None, taps.pooled), smoothed, masks, known)


def _disturb(
    low: Tensor, middle: Tensor, masks: Tensor, flips: bool, generator: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """The same mirror or quarter turn for a batch's maps and masks, and a random gain per image and channel."""
    if flips:
        axes = [axis for axis in (-1, -2) if generator.random() < 0.5]
        low, middle, masks = (x.flip(axes) for x in (low, middle, masks))
        if low.shape[-1] == low.shape[-2] and generator.random() < 0.5:
            low, middle, masks = (x.transpose(-1, -2) for x in (low, middle, masks))
    gains = [1 + JITTER * torch.randn(len(x), x.shape[1], 1, 1).to(x.device) for x in (low, middle)]
    return low * gains[0], middle * gains[1], masks


def _evaluate(branch: nn.Module, material: Material, index: Index) -> tuple[NDArray[np.float64], float]:
    with torch.inference_mode():
        joined = torch.cat([branch(taps) for taps in material.store.batches(index)]).double().cpu()
    labels = torch.from_numpy(material.labels[index]).double()
    balance = torch.where(labels > 0, 0.5 / labels.sum().clamp_min(1), 0.5 / (1 - labels).sum().clamp_min(1))
    loss = functional.binary_cross_entropy_with_logits(joined, labels, reduction="none")
    return joined.numpy(), float((loss * balance).sum())


def _save(path: Path | None, branch: nn.Module, optimiser: Any, schedule: Any, losses: Any) -> None:
    if path is None or distributed.rank() != 0:
        return
    state = {"branch": branch.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    partial = path.with_suffix(".partial")
    try:
        torch.save({**state, "losses": losses}, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        raise TrainingError(f"{path}: the checkpoint cannot be written: {error}") from error


def _resume(path: Path | None, branch: nn.Module, optimiser: Any, schedule: Any, losses: Any) -> int:
    """Number of finished epochs."""
    if path is None or not path.exists():
        return 0
    state = torch.load(path, map_location=distributed.device(), weights_only=False)
    branch.load_state_dict(state["branch"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    for kept, saved in zip(losses, state["losses"], strict=True):
        kept.extend(saved)
    return len(losses[0])

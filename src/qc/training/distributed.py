"""Several processes, one training: started by ``torchrun``, otherwise absent.

Each process takes its share of every batch and gradients are averaged, so the result is that of one process with the whole
batch up to rounding. Everything else (features, folds, export) is done by process 0 alone.
"""

import os

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def start() -> None:
    """Join the group when torchrun's environment is there; CUDA over nccl, otherwise gloo."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def use_free_cores() -> int:
    """Give torch the cores that other programs leave idle, at least one; returns how many.

    A thread that waits at every operator for a sibling without a core costs far more than it brings (measured on two busy
    cores: a step of the map head takes 1.6 s with two threads and .06 s with one).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    threads = max(1, round(cores - busy) // world_size())
    torch.set_num_threads(threads)
    return threads


def device() -> torch.device:
    """Where features are computed and branches are trained: this process's GPU where CUDA is present, otherwise the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def stop() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait for the other processes."""
    if dist.is_initialized():
        dist.barrier()


def wrap(module: nn.Module) -> nn.Module:
    """The module itself, or its distributed twin that shares its parameters."""
    return DistributedDataParallel(module) if dist.is_initialized() else module

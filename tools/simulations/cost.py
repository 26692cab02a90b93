"""What monitoring costs: microseconds per part on the line, seconds per report over ten million parts."""

import time

import numpy as np

from qc.evaluate.slices import Labels, Parts, slice_rates
from simulations.whole_monitor import World, new_monitor, records


def monitor_us(parts: int = 30_000) -> tuple[float, float, float]:
    """Mean, median and 99.9 % quantile of the processor time of ``on_record`` in microseconds, commissioning included."""
    monitor, _ = new_monitor()
    took = np.empty(parts)
    for i, record in enumerate(list(records(World(lot_noise=0.0, dims=320), parts, seed=0))):
        began = time.thread_time_ns()
        monitor.on_record(record)
        took[i] = time.thread_time_ns() - began
    return float(took.mean() / 1e3), float(np.median(took) / 1e3), float(np.quantile(took, 0.999) / 1e3)


def report_s(parts: int = 10_000_000, labels: int = 50_000) -> dict[str, float]:
    """Processor seconds of ``slice_rates`` over parts in memory, by what they are sliced by."""
    rng = np.random.default_rng(0)
    sizes = {"variant": 4, "camera_id": 2, "shift": 300, "model_id": 3}
    columns = {name: rng.integers(0, size, parts).astype(np.int32) for name, size in sizes.items()}
    levels = {name: tuple(str(i) for i in range(size)) for name, size in sizes.items()}
    q = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.01, 0.02, 0.05])
    stratum = rng.choice(8, parts, p=[0.5, 0.2, 0.1, 0.06, 0.05, 0.05, 0.03, 0.01])
    rows = rng.permutation(np.flatnonzero(rng.random(parts) < q[stratum]))[:labels]
    defective = rng.random(len(rows)) < np.array([1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 0.05, 0.3, 0.8])[stratum[rows]]
    names = ("a1", "a2", "a3", "a4", "a5", "r1", "r2", "r3")
    table = Parts(columns, levels, stratum, stratum == 5, names, np.arange(8) >= 5)
    truths = Labels(rows, defective, q[stratum[rows]], np.zeros(len(rows), bool), np.zeros(len(rows), np.int64))
    took = {}
    for by in ((), ("variant",), ("variant", "camera_id", "model_id"), ("shift",)):
        began = time.process_time()
        slices = slice_rates(table, truths, by)
        took[f"{' x '.join(by) or 'pooled'} ({len(slices)} slices)"] = time.process_time() - began
    return took

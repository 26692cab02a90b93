"""The line against the bare onnxruntime loop, alternating in one run on the same session and threads."""

import argparse
import statistics
import time

import cv2
import numpy as np

from benchmarks.rig import Rig, cells
from qc.commands.logs import set_up_logs


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench.py line", description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="pairs of measurements")
    parser.add_argument("--parts", type=int, default=250, help="parts per measurement")
    parser.add_argument("--rate", type=float, default=15.0, help="parts per second for the latency")
    options = parser.parse_args(arguments)
    set_up_logs("error", "text")
    frames = cells()
    _throughput(frames, options.rounds, options.parts)
    _latency(frames, options.rate)
    _overlap(frames, options.rounds, options.parts)
    return 0


def _throughput(frames: list[np.ndarray], rounds: int, parts: int) -> None:
    """Decoded frame in memory -> verdict committed and queued for MQTT, against session.run on prepared tensors."""
    with Rig(frames) as rig:
        bare = _Bare(rig, frames)
        rig.seconds_for(parts)
        bare.seconds_for(parts)
        pairs = [(bare.seconds_for(parts), rig.seconds_for(parts)) for _ in range(rounds)]
    ratios = [bare_s / line_s for bare_s, line_s in pairs]
    print(f"bare onnxruntime   {parts / statistics.median(b for b, _ in pairs):8.1f} parts/s (median of {rounds})")
    print(f"whole line         {parts / statistics.median(w for _, w in pairs):8.1f} parts/s")
    print(f"throughput ratio   {_spread(ratios)}   (goal >= 0.90)")


def _latency(frames: list[np.ndarray], rate: float, parts: int = 600) -> None:
    """Trigger to durable record at a fixed rate; what is left after subtracting the inference is the line's own."""
    with Rig(frames) as rig:
        rig.seconds_for(50)
        del rig.watch.total_ms[:], rig.watch.inference_ms[:]
        for _ in range(parts):
            due = time.perf_counter() + 1 / rate
            rig.camera.ask(1)
            time.sleep(max(0.0, due - time.perf_counter()))
        time.sleep(1.0)
        added = sorted(total - inference for total, inference in zip(rig.watch.total_ms, rig.watch.inference_ms, strict=True))
        inference = sorted(rig.watch.inference_ms)
    print(f"at {rate:g} parts/s: inference p50 {_quantile(inference, 0.5):.1f} ms, p99 {_quantile(inference, 0.99):.1f} ms")
    print(
        f"added by the line  p50 {_quantile(added, 0.5):.1f} ms, p99 {_quantile(added, 0.99):.1f} ms (preprocess, health, commit, hand-over)"
    )


def _overlap(frames: list[np.ndarray], rounds: int, parts: int) -> None:
    """With JPEG decoding of 2048 x 2048 pictures in front, the stages must overlap.

    The archive keeps such pictures as JPEG, as docs/performance.md advises: a PNG of each rejected one costs a third core.
    """
    large = [cv2.resize(frame, (2048, 2048), interpolation=cv2.INTER_CUBIC) for frame in frames[:16]]
    jpegs = [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for picture in large]
    parts = max(40, parts // 4)
    with Rig(jpegs, image_format="jpeg") as rig:
        bare = _Bare(rig, frames)
        rig.seconds_for(parts)
        rows = []
        for _ in range(rounds):
            started = time.perf_counter()
            for index in range(parts):
                picture = cv2.imdecode(np.frombuffer(jpegs[index % len(jpegs)], np.uint8), cv2.IMREAD_COLOR)
                rig.camera._health.check(picture)
                rig.edge.line.setup.inspector.prepare(picture, rig.edge.line.setup.recipe)
            decode_s = time.perf_counter() - started
            rows.append((decode_s, bare.seconds_for(parts), rig.seconds_for(parts)))
    ratios = [max(decode_s, bare_s) / line_s for decode_s, bare_s, line_s in rows]
    decode_ms, bare_ms, line_ms = (statistics.median(row[i] for row in rows) / parts * 1e3 for i in range(3))
    print(f"JPEG 2048 x 2048: capture stage alone {decode_ms:.1f} ms, model alone {bare_ms:.1f} ms, line {line_ms:.1f} ms a part")
    print(
        f"overlap            {_spread(ratios)} of the slowest stage alone   (goal >= 0.85; both in a row would be "
        f"{max(decode_ms, bare_ms) / (decode_ms + bare_ms):.2f})"
    )


class _Bare:
    """session.run and nothing else, on the rig's own session."""

    def __init__(self, rig: Rig, frames: list[np.ndarray]) -> None:
        inspector, recipe = rig.edge.line.setup.inspector, rig.edge.line.setup.recipe
        self._session = inspector._session  # the same session is the point
        self._tensors = [inspector.prepare(frame, recipe).tensor for frame in frames]
        self._outputs = [output.name for output in self._session.get_outputs()]

    def seconds_for(self, parts: int) -> float:
        started = time.perf_counter()
        for index in range(parts):
            self._session.run(self._outputs, {"image": self._tensors[index % len(self._tensors)]})
        return time.perf_counter() - started


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} (min {min(values):.3f}, max {max(values):.3f})"

"""All benchmarks of the project: ``python tools/bench.py NAME [options]``; without a name, the list.

A performance claim is a ratio taken in one run of these, alternating between the two sides, because machines are shared and noisy.
"""

import importlib
import sys
from pathlib import Path

BENCHMARKS = {
    "line": ("benchmarks.line_loop", "the line against the bare onnxruntime loop: throughput, latency, overlap"),
    "memory": ("benchmarks.memory", "resident memory over many parts, start to first verdict, installed size"),
    "records": ("benchmarks.records", "reports and KPIs over millions of records in SQLite: seconds and memory"),
    "monitoring": ("bench_monitoring", "coverage, bias, alarms: the twelve points of docs/monitoring.md"),
    "truth": (
        "benchmarks.truth",
        "rates, labels, alarms and causes against the real line in simulated production (docs/truth.md)",
    ),
    "monitoring-cost": ("benchmarks.monitoring_cost", "the line with sampling and monitoring against the line without"),
    "shadow": ("benchmarks.shadow_cost", "the line with a model in the shadow against the line without"),
    "console": ("bench_console", "the line with busy and hostile browsers against none"),
}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        print(__doc__)
        print("\n".join(f"  {name:16} {what}" for name, (_, what) in BENCHMARKS.items()))
        sys.exit(2)
    sys.exit(importlib.import_module(BENCHMARKS[sys.argv[1]][0]).main(sys.argv[2:]))

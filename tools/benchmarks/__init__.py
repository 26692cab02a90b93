"""Benchmarks that take ratios in one run; see tools/bench.py."""

"""Rates and intervals from sampled human labels: pure numpy and scipy, one estimator per file."""

"""The examples in the docstrings are exact and run."""

import doctest
import importlib
import pkgutil

import pytest

import qc.monitor

NAMES = sorted(module.name for module in pkgutil.iter_modules(qc.monitor.__path__))


@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(f"qc.monitor.{name}")).failed == 0


def test_that_there_are_examples():
    found = [test for name in NAMES for test in doctest.DocTestFinder().find(importlib.import_module(f"qc.monitor.{name}"))]
    assert sum(len(test.examples) for test in found) >= 20

"""The examples in the docstrings are exact and run."""

import doctest
import importlib
import pkgutil

import pytest

import qc.goals


@pytest.mark.parametrize("name", sorted(m.name for m in pkgutil.iter_modules(qc.goals.__path__)))
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"qc.goals.{name}"))
    assert result.failed == 0


def test_that_there_are_examples():
    modules = [importlib.import_module(f"qc.goals.{m.name}") for m in pkgutil.iter_modules(qc.goals.__path__)]
    assert sum(len(t.examples) for m in modules for t in doctest.DocTestFinder().find(m)) >= 2

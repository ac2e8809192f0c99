"""Shared by the tests of commands."""

import functools

import pytest

from bnn_keras.runs import trained


@pytest.fixture(scope="module")
def cached_load():
    return functools.cache(trained.load)


@pytest.fixture
def loaded_once(cached_load, monkeypatch):
    """Every network is loaded once in a module: that takes more time than to run it."""
    monkeypatch.setattr(trained, "load", cached_load)

"""Shared by the tests of quantization."""

from tests.zoo.conftest import float64 as float64

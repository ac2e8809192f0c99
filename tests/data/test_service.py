"""Parts of batches for several workers, and the tf.data service that decodes them."""

import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bnn_keras import cli, data
from bnn_keras.data import service
from bnn_keras.errors import UserError
from tests import small_run

ROOT = Path(__file__).parents[2]


def read(batches):
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


@pytest.mark.parametrize("skip", [0, 2])
def test_workers_together_see_what_one_sees(skip):
    digits = data.open("digits", train_examples=100)
    whole = read(digits.train(12, epoch=3, seed=5, skip_batches=skip))
    parts = [read(digits.train(12, 3, 5, skip, part=(i, 3))) for i in range(3)]
    assert [len(whole), *map(len, parts)] == [8 - skip] * 4
    for batch, *of_workers in zip(whole, *parts, strict=True):
        for together, alone in zip(zip(*of_workers, strict=True), batch, strict=True):
            np.testing.assert_array_equal(np.concatenate(together), alone)


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (110, [[25, 25, 5], [25, 25, 5]]),
        (131, [[25, 25, 16], [25, 25, 15]]),
        # 25 a batch would leave nothing to the second worker's third one.
        (101, [[26, 25], [26, 24]]),
    ],
)
def test_held_out_images_are_dealt_out_down_to_the_last(limit, sizes):
    digits = data.open("digits")
    parts = [digits.test(50, limit, part=(i, 2)) for i in range(2)]
    assert [[len(labels) for _, labels in part] for part in parts] == sizes
    assert [int(part.cardinality()) for part in parts] == [len(sizes[0])] * 2
    (whole,) = read(digits.test(limit, limit))
    for i, part in enumerate(parts):
        for dealt, alone in zip(zip(*read(part), strict=True), whole, strict=True):
            np.testing.assert_array_equal(np.concatenate(dealt), alone[i::2])


def test_what_cannot_be_shared_out_is_refused():
    digits = data.open("digits")
    for batches in (lambda: digits.train(16, 0, 0, part=(0, 3)), lambda: digits.test(16, part=(0, 3))):
        with pytest.raises(UserError, match=r"multiple of the 3 parts. Received: 16"):
            batches()
    with pytest.raises(UserError, match="2 held-out examples are not enough for 3 parts"):
        digits.test(30, limit=2, part=(0, 3))


@contextlib.contextmanager
def server(*flags):
    """A server of its own process, which Ctrl-C ends; its first line."""
    command = [sys.executable, "-m", "bnn_keras", "data-service", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()


@pytest.fixture(scope="module")
def service_of_two():
    """The address of a tf.data service with one dispatcher and two workers.

    In this process TensorFlow's workers would take up to two minutes to stop.
    """
    with server() as said:
        address = said.removeprefix("hands out work at ")
        with server(f"--dispatcher={address}") as first, server(f"--dispatcher={address}") as second:
            assert first == second == f"decodes for {address}"
            yield address


@pytest.mark.large
def test_a_data_service_gives_the_same_batches(service_of_two):
    digits = data.open("digits", train_examples=100)

    def part(part):
        return digits.train(12, epoch=3, seed=5, skip_batches=2, part=part)

    for i, n in ((0, 1), (1, 3)):
        decoded = read(service.decoded_by(service_of_two, part, (i, n), 12))
        for ours, expected in zip(decoded, read(part((i, n))), strict=True):
            for tensor, other in zip(ours, expected, strict=True):
                np.testing.assert_array_equal(tensor, other)


@pytest.mark.large
def test_a_run_that_reads_through_a_service_has_the_same_weights(service_of_two, tmp_path):
    recipe = small_run.RECIPE.replace(epochs=1)
    weights = [
        small_run.train(tmp_path / name, recipe, data_service=address).get_weights()
        for name, address in (("with", service_of_two), ("without", None))
    ]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("5050", "must be an address like HOST:5050.* Received: '5050'"),
        (
            "localhost:1",
            "No tf.data service answers at localhost:1: .*Start one with python -m bnn_keras data-service",
        ),
        ("localhost:99999", "must be an address like HOST:5050"),
    ],
)
def test_a_service_that_is_not_there(address, sentence, tmp_path):
    for start in (service.start, lambda it: small_run.train(tmp_path / "run", data_service=it)):
        with pytest.raises(UserError, match=sentence):
            start(address)
    assert not (tmp_path / "run").exists()


def test_a_service_whose_port_is_taken(capfd):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        assert cli.run(["data-service", f"--port={taken.getsockname()[1]}"]) == 2
    assert "error: Cannot listen at port" in capfd.readouterr().err

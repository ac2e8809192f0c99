"""A small network of larq-zoo's own making, whose file stands for the published weights of MeliusNet-22."""

import contextlib
import dataclasses
import functools
import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from zookeeper import factory

from tests.file_server import serving
from tests.networks import randomise
from zoo import pretrained

NAME = "meliusnet22"
SMALL = {"blocks": (1, 1), "channels": (32,)}
SIZE = 64  # pixels


@functools.cache
def theirs():
    """The network, from normalised images to probabilities."""
    from larq_zoo.literature.meliusnet import MeliusNetFactory

    @factory
    class SmallFactory(MeliusNetFactory):
        num_blocks = SMALL["blocks"]
        transition_features = (*SMALL["channels"], None)
        name = NAME

    image = dict(input_shape=(SIZE, SIZE, 3), input_tensor=None)
    return randomise(SmallFactory(include_top=True, weights=None, num_classes=1000, **image).build())


@functools.cache
def content():
    """The file of its weights."""
    with tempfile.TemporaryDirectory() as folder:
        theirs().save_weights(Path(folder, "theirs.h5"))
        return Path(folder, "theirs.h5").read_bytes()


def logits(network, images):
    """What the last dense layer of larq-zoo's network gives for RGB in [0, 255]."""
    from larq_zoo.training.data import MEAN_RGB, STDDEV_RGB

    last = [layer for layer in network.layers if isinstance(layer, tf.keras.layers.Dense)][-1]
    inputs = (images - np.array(MEAN_RGB)) / np.array(STDDEV_RGB)
    return tf.keras.Model(network.inputs, last.output)(inputs.astype(network.inputs[0].dtype.name)).numpy()


def known(address, content, name=NAME, **settings):
    """The entry of the table for another file."""
    entry = pretrained.PRETRAINED[name]
    return dataclasses.replace(
        entry,
        address=address,
        sha256=hashlib.sha256(content).hexdigest(),
        settings={**entry.settings, **settings},
    )


@contextlib.contextmanager
def published(cache):
    """Serve the file, with an empty cache, as long as the block lasts."""
    with serving(content()) as served, pytest.MonkeyPatch.context() as patch:
        patch.setitem(pretrained.PRETRAINED, NAME, known(served.address, served.content, **SMALL))
        patch.setenv("BNN_KERAS_CACHE", str(cache))
        yield served

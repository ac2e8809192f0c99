"""What the comparisons with the authors' PyTorch code have in common.

Weights are read by the keys of a state dict, and gradients compared in its layout.
"""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from bnn_keras.weights import torch_names

LOGITS = 1e-9  # largest difference, as a share of the range of the logits


def runs_the_code(source):
    """The mark of a test that runs the authors' code, whose folder an environment variable names."""
    return pytest.mark.skipif(source not in os.environ, reason=f"{source} names no folder with their code")


def images(case, number=2):
    """Images as a network takes them after its normalisation, [number, size, size, 3]."""
    return np.random.default_rng(1).normal(0, 1, (number, case.size, case.size, 3))


def labels(case, number):
    """A class for each image."""
    return np.arange(number) * 7 % case.classes


def tensor(images):
    """Images as PyTorch has them."""
    import torch

    return torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def digest(key, array):
    """Two numbers that stand for an array: its norm, and its projection on a random direction."""
    direction = np.random.default_rng(zlib.crc32(key.encode()) + 1).normal(size=array.shape)
    return [float(np.linalg.norm(array)), float((direction * array).sum())]


# Below, our network.


def latent(variable):
    """The variable itself, also where Larq shows its signs."""
    return getattr(variable, "latent_variable", variable)


def entries(model, names):
    """Every key that our network asks for, by the id of the variable that it is for."""
    return {
        id(latent(variable)): entry
        for layer in model.layers
        if layer.weights
        for variable, entry in zip(
            layer.weights, torch_names.entries(layer, names.module(layer.name)), strict=True
        )
    }


def fill(model, names, state):
    """Give our network the weights of a state dict."""
    for name, values in names.arrays(model, state, Path("state"), new_head=False).items():
        model.get_layer(name).set_weights(values)
    return model


def by_key(model, names, arrays):
    """Arrays of the trained variables, in the layout of the state dict, by its keys."""
    keys = entries(model, names)
    found = [keys[id(latent(variable))] for variable in model.trainable_variables]
    return {entry.key: _theirs(entry, np.array(a)) for entry, a in zip(found, arrays, strict=True)}


def weights_by_key(model, names):
    """The trained variables, as `by_key`."""
    return by_key(model, names, [latent(variable) for variable in model.trainable_variables])


def _theirs(entry, array):
    if array.ndim == 4 and array.shape[:3] != (1, 1, 1):
        return array.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1]
    return (array.T if array.ndim == 2 else array).reshape(entry.shape)


def ours(array):
    """An array of a convolution, a dense layer or a vector in our layout."""
    return array[:, :, ::-1, ::-1].transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def check_logits(case, model, wanted, spread):
    """Compare the first logits of each image."""
    ours = model(images(case)).numpy()[:, : wanted.shape[1]]
    assert np.abs(ours - wanted).max() <= LOGITS * spread

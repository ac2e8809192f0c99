"""torchvision's residual networks, which must give PyTorch's numbers."""

import functools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import weights
from bnn_keras.errors import UserError
from zoo import registry
from zoo.checkpoints import torchvision

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
CHANNELS = (64, 128, 256, 512)
# Logits of `picture` by `state("resnet18")`, computed with PyTorch in float64.
GOLDEN = (-3.8563738632310964, 7.592588999221419, 2.260556255239555, 0.1587864562674174)


@functools.cache
def state(name):
    """A state dict with torchvision's keys, shapes and order: random, in float64. Not to be changed."""
    rng = np.random.default_rng(7)
    found = {}

    def norm(key, channels):
        found[f"{key}.weight"] = rng.uniform(0.5, 1.5, channels)
        found[f"{key}.bias"] = rng.normal(0, 0.3, channels)
        found[f"{key}.running_mean"] = rng.normal(0, 0.3, channels)
        found[f"{key}.running_var"] = rng.uniform(0.5, 1.5, channels)
        found[f"{key}.num_batches_tracked"] = np.array(3)

    def conv(key, filters, channels, size):
        shape = filters, channels, size, size
        found[f"{key}.weight"] = rng.normal(0, 1 / np.sqrt(channels * size * size), shape)

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    before = 64
    for section, (depth, channels) in enumerate(zip(DEPTHS[name], CHANNELS, strict=True), start=1):
        for block in range(depth):
            key = f"layer{section}.{block}"
            conv(f"{key}.conv1", channels, before, 3)
            norm(f"{key}.bn1", channels)
            conv(f"{key}.conv2", channels, channels, 3)
            norm(f"{key}.bn2", channels)
            if before != channels:
                conv(f"{key}.downsample.0", channels, before, 1)
                norm(f"{key}.downsample.1", channels)
            before = channels
    found["fc.weight"], found["fc.bias"] = rng.normal(0, 0.05, (4, 512)), rng.normal(0, 1, 4)
    return found


def picture():
    return np.random.default_rng(8).uniform(0, 255, (1, 64, 64, 3))


def by_torch(name):
    """The network's definition in PyTorch's functions, on the weights of `state`."""
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    functional = torch.nn.functional
    s = {key: torch.tensor(value) for key, value in state(name).items()}

    def norm(x, key):
        mean, variance = s[f"{key}.running_mean"], s[f"{key}.running_var"]
        return functional.batch_norm(x, mean, variance, s[f"{key}.weight"], s[f"{key}.bias"], eps=1e-5)

    x = torch.tensor(picture()).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(numbers, dtype=torch.float64).reshape(3, 1, 1) for numbers in (MEAN, STD))
    x = (x - mean) / std
    x = torch.relu(norm(functional.conv2d(x, s["conv1.weight"], stride=2, padding=3), "bn1"))
    x = functional.max_pool2d(x, 3, stride=2, padding=1)
    for section, depth in enumerate(DEPTHS[name], start=1):
        for block in range(depth):
            key, stride = f"layer{section}.{block}", 2 if section > 1 and block == 0 else 1
            y = functional.conv2d(x, s[f"{key}.conv1.weight"], stride=stride, padding=1)
            y = torch.relu(norm(y, f"{key}.bn1"))
            y = norm(functional.conv2d(y, s[f"{key}.conv2.weight"], padding=1), f"{key}.bn2")
            if f"{key}.downsample.0.weight" in s:
                x = functional.conv2d(x, s[f"{key}.downsample.0.weight"], stride=stride)
                x = norm(x, f"{key}.downsample.1")
            x = torch.relu(x + y)
    return (x.mean((2, 3)) @ s["fc.weight"].T + s["fc.bias"])[0].numpy()


@pytest.fixture
def float64():
    tf.keras.backend.set_floatx("float64")
    yield
    tf.keras.backend.set_floatx("float32")


def padded(name):
    return zoo.build(name, (64, 64, 3), 4, **registry.torch_settings(name))


def test_resnet18_with_torchvisions_names_gives_pytorchs_numbers(float64):
    network, found = padded("resnet18"), state("resnet18")
    arrays = torchvision.naming(found).arrays(network, found, Path("a.pth"), new_head=False)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(arrays[layer.name])
    np.testing.assert_allclose(network(picture())[0], GOLDEN, rtol=0, atol=1e-9)


def save(name, path):
    torch = pytest.importorskip("torch", reason="PyTorch writes the file")
    torch.save({key: torch.tensor(value) for key, value in state(name).items()}, path)
    return path


@pytest.mark.large
def test_resnet34_from_a_file_gives_pytorchs_numbers(float64, tmp_path):
    network = padded("resnet34")
    weights.load(network, save("resnet34", tmp_path / "resnet34.pth"))
    wanted = by_torch("resnet34")
    np.testing.assert_allclose(network(picture())[0], wanted, rtol=0, atol=1e-9 * np.ptp(wanted))
    with pytest.raises(UserError, match="'layer1.2.conv1.weight' of resnet34: .* torchvision's resnet18"):
        weights.load(network, save("resnet18", tmp_path / "resnet18.pth"))


def test_a_network_with_other_padding_does_not_take_torchvisions_weights(tmp_path):
    network = zoo.build("resnet18", (64, 64, 3), 4, blocks=(1,), channels=(64,))
    with pytest.raises(UserError, match="torchvision's resnet18, which is read into one built with symm"):
        weights.load(network, save("resnet18", tmp_path / "resnet18.pth"))


def test_a_state_dict_is_recognised():
    names = {name: torchvision.identify(state(name)) for name in DEPTHS}
    assert all(name in said for name, said in names.items())
    assert torchvision.identify({"feature.0.conv1.weight": np.zeros(1)}) is None
    bottleneck = {**state("resnet34"), "layer1.0.conv3.weight": np.zeros(1)}
    assert torchvision.identify(bottleneck) == "another residual network of torchvision"

"""A layer of a user's own: registered once, it is saved, counted, converted, verified and imported."""

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import accounting, deploy, nn, weights
from bnn_keras.errors import UserError
from bnn_keras.nn.registration import traits_of
from bnn_keras.weights import foreign, torch_names
from tests.networks import binary_conv, images, network_around

keras = tf.keras.layers


@nn.register(
    package="tests",
    bound=lambda step: step.inputs[0].radius,  # a minimum rounds nothing off
    elementwise=True,
    torch={"ceiling": nn.TorchWeight("ceiling", (0, 3, 1, 2))},
)
class Ceiling(keras.Layer):
    """The smaller one of the input and a trained ceiling for each channel."""

    def build(self, input_shape):
        self.ceiling = self.add_weight("ceiling", (1, 1, 1, input_shape[-1]), initializer="ones")
        super().build(input_shape)

    def call(self, inputs):
        return tf.minimum(inputs, self.ceiling)


@nn.register(package="tests", moves=True)
class Mirror(keras.Layer):
    """Images mirrored from left to right."""

    def call(self, inputs):
        return tf.reverse(inputs, axis=[2])


class Unregistered(Ceiling):
    """A subclass has the traits of its base class."""


class Unknown(keras.Layer):
    """A layer of which nothing is known."""

    def call(self, inputs):
        return tf.abs(inputs)


@pytest.fixture(scope="module")
def model():
    return network_around(lambda x: binary_conv(name="binary")(Mirror(name="mirror")(Ceiling(name="low")(x))))


def test_it_is_saved_loaded_converted_and_verified(model, tmp_path):
    model.save(tmp_path / "own.keras")
    loaded = weights.read_model(tmp_path / "own.keras")
    assert isinstance(loaded.get_layer("low"), Ceiling)
    _, report = deploy.convert(loaded, images())
    assert {"low", "mirror"} <= {tap.name for tap in report.taps} and len(report.layers) == 1
    assert report.storage.layers["low"] == 32 * 4


def test_it_is_counted_without_a_note_and_signs_stay_signs(model):
    assert not accounting.profile(model).notes
    mirrored = network_around(
        lambda x: binary_conv(input_quantizer=None)(Mirror()(lq.quantizers.SteSign()(x)))
    )
    assert accounting.profile(mirrored).bops > 0


def test_it_is_imported_from_a_pytorch_checkpoint(model, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is an optional extra")
    weighted = [layer for layer in model.layers if layer.weights]
    entries = [entry for layer in weighted for entry in torch_names.entries(layer, layer.name)]
    state = {entry.key: torch.full(entry.shape, 0.25) for entry in entries}
    assert state["low.ceiling"].shape == (1, 32, 1, 1)
    torch.save(state, tmp_path / "own.pth")
    monkeypatch.setattr(foreign, "torch_namings", [])
    naming = torch_names.Naming(module=lambda name: name, identify=lambda state: None)
    weights.register_torch_naming(lambda state: naming)
    filled = tf.keras.models.clone_model(model)
    weights.load(filled, tmp_path / "own.pth")
    np.testing.assert_array_equal(filled.get_layer("low").ceiling, np.full((1, 1, 1, 32), 0.25))


def test_traits_come_from_the_nearest_base_class():
    assert traits_of(Unregistered()) == traits_of(Ceiling())
    half = nn.register(bound=nn.bounds.monotone)(type("Half", (Ceiling,), {}))
    assert traits_of(half()).elementwise and traits_of(half()).bound is nn.bounds.monotone
    assert tf.keras.saving.get_registered_name(half) == "Custom>Half"


def test_a_layer_of_keras_gets_a_bound_and_keeps_its_name():
    network = network_around(lambda x: keras.Conv2D(8, 1)(keras.ThresholdedReLU(0.0)(x)))
    with pytest.raises(UserError, match=r"known for ThresholdedReLU.*nn.register\(bound=...\)"):
        deploy.convert(network, images())
    nn.register(keras.ThresholdedReLU, bound=nn.bounds.monotone)
    assert tf.keras.saving.get_registered_name(keras.ThresholdedReLU) == "ThresholdedReLU"
    assert not deploy.convert(network, images())[1].problems


def test_mistakes_are_named():
    with pytest.raises(UserError, match="Unknown trait of a layer 'movse'; did you mean moves"):
        nn.register(movse=True)
    with pytest.raises(UserError, match="no bound of its rounding is known for Unknown"):
        deploy.convert(network_around(Unknown()), images())
    layer = keras.LayerNormalization(name="norm")
    layer.build((1, 4))
    with pytest.raises(UserError, match=r"weight 'gamma' of 'norm': give it with bnn_keras.nn.register"):
        torch_names.entries(layer, "norm")

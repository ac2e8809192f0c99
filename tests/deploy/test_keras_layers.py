"""Keras's own layers: each converts, is verified within its bound, and a damage in it is refused."""

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.tflite.flatbuffer import Flatbuffer
from bnn_keras.weights import read_model
from tests.deploy.branches import slug
from tests.deploy.test_damages import flip_one, regions_of, weights_of
from tests.networks import images, randomise

keras = tf.keras.layers
SIZE = CHANNELS = 8

ACTIVATIONS = (
    *("elu", "gelu", "hard_sigmoid", "mish", "relu", "selu", "sigmoid"),
    *("softmax", "softplus", "softsign", "swish", "tanh"),
)
FUNCTIONS = {
    "nn.elu": tf.nn.elu,
    "nn.gelu": tf.nn.gelu,
    "nn.gelu with tanh": lambda x: tf.nn.gelu(x + 1, approximate=True),
    "nn.leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.3),
    "nn.relu6": tf.nn.relu6,
    "nn.selu": tf.nn.selu,
    "nn.silu": tf.nn.silu,
    "nn.softmax": tf.nn.softmax,
    "nn.softsign": tf.nn.softsign,
    "math.softplus": tf.math.softplus,
    "math.tanh": tf.math.tanh,
    "hard swish": lambda x: x * tf.nn.relu6(x + 3) / 6,
    "quotient of two": lambda x: x / (tf.abs(x) + 1),
    "divided by 255": lambda x: x / 255,
    "by 255": lambda x: (x - 127.5) * (1 / 255),
    "negative": lambda x: -x,
    "maximum": lambda x: tf.maximum(x, 0.5),
}
# In front of the body's own arithmetic, layers that do nothing outside of training.
IDLE = [
    keras.RandomFlip(),
    keras.RandomRotation(0.2),
    keras.RandomTranslation(0.1, 0.1),
    keras.RandomZoom(0.1),
    keras.RandomContrast(0.1),
    keras.RandomBrightness(0.1),
    keras.Dropout(0.2),
    keras.SpatialDropout2D(0.2),
    keras.AlphaDropout(0.2),
    keras.GaussianNoise(0.2),
    keras.GaussianDropout(0.2),
    keras.ActivityRegularization(0.1),
]


def idle(x):
    for layer in IDLE:
        x = layer(x)
    return x


LAYERS = {
    "rescaling": keras.Rescaling(1 / 255, offset=-0.5),
    "rescaling of channels": keras.Rescaling(
        np.linspace(0.5, 2, CHANNELS).tolist(), np.linspace(-1, 1, CHANNELS).tolist()
    ),
    "normalization": keras.Normalization(
        mean=np.linspace(-1, 1, CHANNELS), variance=np.linspace(0.5, 2, CHANNELS)
    ),
    "normalization inverted": keras.Normalization(mean=0.5, variance=2.0, invert=True),
    "resizing": keras.Resizing(9, 21),
    "resizing to the nearest": keras.Resizing(32, 8, interpolation="nearest"),
    "center crop": keras.CenterCrop(5, 6),
    "depthwise": keras.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="gelu"),
    "separable": keras.SeparableConv2D(16, 3, activation="swish"),
    "transposed": keras.Conv2DTranspose(8, 3, strides=2, activation="tanh"),
    "dense": keras.Dense(16, activation="gelu"),
    "layer norm": keras.LayerNormalization(),
    "layer norm of images": keras.LayerNormalization(axis=(1, 2, 3), center=False),
    "softmax layer": keras.Softmax(),
    "elu layer": keras.ELU(0.5),
    "leaky relu layer": keras.LeakyReLU(0.2),
    "relu6 layer": keras.ReLU(6.0),
    "a layer as activation": keras.Conv2D(8, 1, activation=keras.LeakyReLU(0.2)),
    "hard swish of layers": lambda x: keras.Multiply()([x, keras.ReLU(6.0)(x + 3.0) * (1 / 6)]),
    "maximum of two": lambda x: keras.Maximum()([x, keras.Conv2D(CHANNELS, 1)(x)]),
    "idle": idle,
}


def bodies():
    layers = {f"conv {name}": keras.Conv2D(8, 3, activation=name) for name in ACTIVATIONS}
    layers |= {f"activation {name}": keras.Activation(name) for name in ("gelu", "softmax")}
    return layers | FUNCTIONS | LAYERS


def network_of(bodies):
    """A branch for each body, from [batch, SIZE, SIZE, CHANNELS], with a BatchNorm of its name after it."""
    image = tf.keras.Input((SIZE, SIZE, 3))
    x = keras.Conv2D(CHANNELS, 3, padding="same", name="stem")(image)
    ends = [keras.BatchNormalization(name=f"{slug(name)}/end")(body(x)) for name, body in bodies.items()]
    x = keras.Concatenate()([keras.GlobalAveragePooling2D()(end) for end in ends])
    return randomise(tf.keras.Model(image, keras.Dense(2)(x), name="users_own"))


# These stand for the others by default.
USUAL = (
    *("conv gelu", "conv softmax", "nn.silu", "hard swish", "divided by 255", "idle"),
    *("rescaling", "normalization", "resizing", "center crop", "depthwise", "layer norm", "leaky relu layer"),
)


@pytest.fixture(scope="module", params=["usual", pytest.param("others", marks=pytest.mark.large)])
def chosen(request):
    """A part of the bodies."""
    return {name: body for name, body in bodies().items() if (name in USUAL) == (request.param == "usual")}


@pytest.fixture(scope="module")
def network(chosen, tmp_path_factory):
    """All of them as branches of one network, saved, loaded and converted."""
    file = tmp_path_factory.mktemp("branches") / "model.keras"
    network_of(chosen).save(file)
    model = read_model(file)
    return model, *deploy.convert(model, images(2, SIZE))


@pytest.fixture(scope="module")
def damaged(network):
    """The taps at which a file is refused that has one changed constant in every stage with constants."""
    model, flatbuffer, _ = network
    file, right, rng = Flatbuffer(flatbuffer), Flatbuffer(flatbuffer), np.random.default_rng(0)
    regions = regions_of(model, flatbuffer)
    for tap in sorted(set(regions.tensors.values())):
        if weights := weights_of(regions, tap):
            index = rng.choice(weights)
            values = right.constant(index).copy()
            flip_one(values, rng)
            file.set_constant(index, values)
    return [tap.name for tap in deploy.verify(model, file.pack(), images(2, SIZE)).taps if tap.problem]


def test_every_layer_converts_and_a_damage_in_it_is_refused(chosen, network, damaged):
    ratios = {tap.name: tap.ratio for tap in network[2].taps}
    ends = {f"{slug(name)}/end" for name in chosen}
    assert all(ratios[end] < 1 for end in ends)
    assert ends - set(damaged) == set()


def test_an_adapted_normalization_is_saved_loaded_converted_and_verified(tmp_path):
    normalization = keras.Normalization()
    normalization.adapt(images(2, SIZE))
    image = tf.keras.Input((SIZE, SIZE, 3))
    x = keras.Conv2D(4, 3, name="conv")(normalization(image))
    tf.keras.Model(image, x).save(tmp_path / "model.keras")
    model = read_model(tmp_path / "model.keras")
    flatbuffer, report = deploy.convert(model, images(2, SIZE))
    assert not report.problems
    np.testing.assert_allclose(model(images(2, SIZE)), deploy.run(flatbuffer, images(2, SIZE)), atol=1e-4)
    (other,) = (layer for layer in model.layers if isinstance(layer, keras.Normalization))
    mean, *rest = other.get_weights()
    other.set_weights([mean + 1, *rest])
    assert deploy.verify(model, flatbuffer, images(2, SIZE)).problems


class Scaled(keras.Dropout):
    """A Dropout that scales its input outside of training."""

    def call(self, inputs, training=None):
        return 0.5 * inputs


def test_a_layer_that_only_seems_to_do_nothing_is_refused():
    model = network_of({"scaled": Scaled(0.5)})
    assert deploy.verify(model, deploy.to_flatbuffer(model), images(1, SIZE)).problems

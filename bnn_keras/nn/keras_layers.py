"""The traits of the layers of Keras and Larq, and of TensorFlow functions that are used as layers."""

import math

import larq as lq
import numpy as np
import tensorflow as tf

from bnn_keras.nn import bounds
from bnn_keras.nn.traits import TorchWeight, Traits

K = tf.keras.layers

MOVING = Traits(bounds.moves, moves=True)
RESHAPING = Traits(bounds.moves, moves=True, fuses=True, vanishes=True)
VANISHING = Traits(bounds.moves, moves=True, vanishes=True)
AVERAGING = Traits(bounds.averages)
MONOTONE = Traits(bounds.monotone, elementwise=True)
ADDING = Traits(bounds.adds, elementwise=True)
MULTIPLYING = Traits(bounds.multiplies, elementwise=True)
TAKING_LARGEST = Traits(bounds.takes_largest, elementwise=True)
UNKNOWN = Traits()

# Layers that pass their input on outside of training.
IDLE = (
    K.ActivityRegularization,
    *(K.AlphaDropout, K.Dropout, K.GaussianDropout, K.GaussianNoise),
    *(K.SpatialDropout1D, K.SpatialDropout2D, K.SpatialDropout3D),
    *(K.RandomBrightness, K.RandomContrast, K.RandomFlip, K.RandomHeight, K.RandomRotation),
    *(K.RandomTranslation, K.RandomWidth, K.RandomZoom),
)

LAYERS: dict[type, Traits] = {
    **dict.fromkeys((K.Concatenate, K.Cropping1D, K.Cropping2D, K.Cropping3D), MOVING),
    **dict.fromkeys((K.GlobalMaxPooling1D, K.GlobalMaxPooling2D, K.GlobalMaxPooling3D), MOVING),
    **dict.fromkeys((K.MaxPooling1D, K.MaxPooling3D), MOVING),
    K.MaxPooling2D: Traits(bounds.moves, moves=True, passes_signs=True),
    **dict.fromkeys((K.Flatten, K.Reshape), RESHAPING),
    **dict.fromkeys((K.InputLayer, K.Permute), VANISHING),
    **dict.fromkeys(IDLE, Traits(bounds.moves, moves=True, vanishes=True, idle=True)),
    K.ZeroPadding2D: Traits(bounds.moves, vanishes=True),
    K.UpSampling2D: Traits(bounds.resizes),
    K.Resizing: Traits(bounds.resizes),
    K.CenterCrop: Traits(bounds.crops_or_resizes, moves=True),
    **dict.fromkeys((K.AveragePooling2D, K.GlobalAveragePooling2D), AVERAGING),
    **dict.fromkeys((K.ELU, K.LeakyReLU, lq.quantizers.Quantizer), MONOTONE),
    # Its scale is the mean of all values.
    lq.quantizers.MagnitudeAwareSign: Traits(elementwise=True),
    K.ReLU: Traits(bounds.monotone, elementwise=True, passes_signs=True, fuses=True),
    K.PReLU: Traits(bounds.slopes, elementwise=True, torch={"alpha": TorchWeight("weight")}),
    K.Activation: Traits(bounds.activation, elementwise=True, fuses=True),
    **dict.fromkeys((K.Add, K.Subtract), ADDING),
    K.Multiply: MULTIPLYING,
    **dict.fromkeys((K.Maximum, K.Minimum), TAKING_LARGEST),
    K.Softmax: Traits(bounds.softmax),
    K.Rescaling: Traits(
        bounds.rescales,
        elementwise=True,
        stores=lambda layer: [np.size(layer.scale), np.size(layer.offset)],
    ),
    K.Normalization: Traits(
        bounds.normalizes, elementwise=True, stores=lambda layer: 2 * [math.prod(layer.mean.shape)]
    ),
    K.LayerNormalization: Traits(bounds.layer_norm, elementwise=True),
    K.GroupNormalization: Traits(elementwise=True),
    K.BatchNormalization: Traits(
        bounds.batch_norm,
        elementwise=True,
        passes_signs=True,
        fuses=True,
        stores=lambda layer: 2 * [layer.moving_mean.shape[0]],
        torch={
            "gamma": TorchWeight("weight"),
            "beta": TorchWeight("bias"),
            "moving_mean": TorchWeight("running_mean"),
            "moving_variance": TorchWeight("running_var"),
        },
    ),
    K.Conv2D: Traits(
        bounds.multiplies_and_sums,
        torch={"kernel": TorchWeight("weight", (3, 2, 0, 1)), "bias": TorchWeight("bias")},
    ),
    **dict.fromkeys((K.Conv2DTranspose, K.SeparableConv2D), Traits(bounds.multiplies_and_sums)),
    **dict.fromkeys((lq.layers.QuantConv2DTranspose, lq.layers.QuantSeparableConv2D), UNKNOWN),
    # Channels and multiplier are one axis there: only layers with a multiplier of 1 are read.
    K.DepthwiseConv2D: Traits(
        bounds.multiplies_and_sums,
        torch={"depthwise_kernel": TorchWeight("weight", (2, 3, 0, 1)), "bias": TorchWeight("bias")},
    ),
    K.Dense: Traits(
        bounds.multiplies_and_sums,
        torch={"kernel": TorchWeight("weight", (1, 0)), "bias": TorchWeight("bias")},
    ),
}

_FUNCTIONS = (
    ("concat reshape transpose stop_gradient identity split squeeze expand_dims nn.max_pool2d", MOVING),
    ("compat.v1.transpose compat.v1.squeeze __operators__.getitem", MOVING),
    ("pad compat.v1.pad", Traits(bounds.pads)),
    ("math.abs", Traits(bounds.moves, elementwise=True)),
    ("math.sign sign math.negative nn.relu nn.relu6 clip_by_value", MONOTONE),
    ("__operators__.add math.add math.subtract", ADDING),
    ("math.multiply", MULTIPLYING),
    ("math.truediv math.divide", Traits(bounds.divides, elementwise=True)),
    ("math.maximum math.minimum", TAKING_LARGEST),
    ("nn.softmax compat.v1.nn.softmax", Traits(bounds.softmax)),
    *(
        (f"nn.{name}", Traits(bounds.named(name), elementwise=True))
        for name in ("elu", "gelu", "leaky_relu", "selu", "silu", "softsign")
    ),
    *(
        (f"math.{name}", Traits(bounds.named(name), elementwise=True))
        for name in ("sigmoid", "softplus", "tanh")
    ),
)
FUNCTIONS: dict[str, Traits] = {name: traits for names, traits in _FUNCTIONS for name in names.split()}

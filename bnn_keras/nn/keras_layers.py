"""The traits of the layers of Keras and Larq, and of TensorFlow functions that are used as layers."""

import larq as lq
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
UNKNOWN = Traits()

LAYERS: dict[type, Traits] = {
    **dict.fromkeys((K.Concatenate, K.Cropping1D, K.Cropping2D, K.Cropping3D), MOVING),
    **dict.fromkeys((K.GlobalMaxPooling1D, K.GlobalMaxPooling2D, K.GlobalMaxPooling3D), MOVING),
    **dict.fromkeys((K.MaxPooling1D, K.MaxPooling3D), MOVING),
    K.MaxPooling2D: Traits(bounds.moves, moves=True, passes_signs=True),
    **dict.fromkeys((K.Flatten, K.Reshape), RESHAPING),
    **dict.fromkeys((K.Dropout, K.InputLayer, K.Permute), VANISHING),
    K.ZeroPadding2D: Traits(bounds.moves, vanishes=True),
    K.UpSampling2D: Traits(bounds.upsamples),
    **dict.fromkeys((K.AveragePooling2D, K.GlobalAveragePooling2D), AVERAGING),
    **dict.fromkeys((K.LeakyReLU, lq.quantizers.Quantizer), MONOTONE),
    # Its scale is the mean of all values.
    lq.quantizers.MagnitudeAwareSign: Traits(elementwise=True),
    K.ReLU: Traits(bounds.monotone, elementwise=True, passes_signs=True, fuses=True),
    K.PReLU: Traits(bounds.slopes, elementwise=True, torch={"alpha": TorchWeight("weight")}),
    K.Activation: Traits(bounds.activation, elementwise=True, fuses=True),
    **dict.fromkeys((K.Add, K.Subtract), ADDING),
    K.Multiply: MULTIPLYING,
    **dict.fromkeys((K.GroupNormalization, K.LayerNormalization, K.Normalization), Traits(elementwise=True)),
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
    **dict.fromkeys((K.Conv2DTranspose, K.SeparableConv2D), UNKNOWN),
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
    ("math.sign sign nn.relu nn.relu6 math.sigmoid math.tanh clip_by_value", MONOTONE),
    ("__operators__.add math.add math.subtract", ADDING),
    ("math.multiply", MULTIPLYING),
)
FUNCTIONS: dict[str, Traits] = {name: traits for names, traits in _FUNCTIONS for name in names.split()}

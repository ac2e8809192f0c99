"""ResNetE: Training Competitive Binary Neural Networks from Scratch.

Bethge, Bornstein, Loy, Yang, Meinel, 2018 (https://arxiv.org/abs/1812.01965). ImageNet, as the
MeliusNet paper's authors trained and counted them (OPs = FLOPs + BOPs / 64), whose tables call the
second one Bi-RealNet34:

| name      | stem    | top-1 % | MiB  | OPs    |
|-----------|---------|---------|------|--------|
| resnete18 | conv7x7 | 60.0    | 4.00 | 1.63e8 |
| resnete18 | grouped | 60.6    | 3.98 | 1.14e8 |
| resnete34 | conv7x7 | 63.3    | 5.23 | 1.92e8 |
| resnete34 | grouped | 63.7    | 5.21 | 1.43e8 |
"""

from typing import Any

import tensorflow as tf

from bnn_keras.settings.kinds import Setting, Switch
from zoo import shared
from zoo.checkpoints import larq_zoo
from zoo.paper import Paper

INPUT_BN_EPSILON = 2e-5

# blocks: of two convolutions each, as ResNet counts them.
CHANNELS = (64, 128, 256, 512)
VARIANTS = {
    "resnete18": dict(blocks=(2, 2, 2, 2), channels=CHANNELS),
    "resnete34": dict(blocks=(3, 4, 6, 3), channels=CHANNELS),
}

PARAMS = {"resnete18": 11_685_838, "resnete34": 21_793_998}  # grouped stem
RECIPES = dict.fromkeys(VARIANTS, "meliusnet")


def residual_unit(x: tf.Tensor, filters: int, strides: int, name: str, **conv_options: Any) -> tf.Tensor:
    """One binary convolution with a shortcut of its own. Where the shape changes, the shortcut is an
    average pooling and a 32-bit 1x1 convolution."""
    change = shared.activated_conv(x, filters, name, strides, **conv_options)
    change = shared.batch_norm(change, f"{name}/bn")
    if strides > 1:
        x = shared.average_pool(x, f"{name}/shortcut_pool")
    if strides > 1 or x.shape[-1] != filters:
        x = shared.batch_norm(shared.conv(x, filters, 1, f"{name}/shortcut_conv"), f"{name}/shortcut_bn")
    return tf.keras.layers.Add(name=name)([x, change])


def sections(
    x: tf.Tensor, blocks: tuple[int, ...], channels: tuple[int, ...], **conv_options: Any
) -> tf.Tensor:
    """All residual units; every section but the first halves the feature map's edge."""
    for section, (depth, filters) in enumerate(zip(blocks, channels, strict=True), start=1):
        for unit in range(1, 2 * depth + 1):
            strides = 2 if section > 1 and unit == 1 else 1
            x = residual_unit(x, filters, strides, f"section{section}_unit{unit}", **conv_options)
    return x


def network(
    x: tf.Tensor,
    *,
    blocks: tuple[int, ...],
    channels: tuple[int, ...],
    input_bn: bool = True,
    stem: str = "grouped",
    stem_pool: int = 3,
    head: shared.Head,
    **conv_options: Any,
) -> tf.Tensor:
    """The network after the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        blocks: pairs of residual units in each section.
        channels: of each section.
        input_bn: a BatchNorm with a fixed scale on the image, as in the released code; larq-zoo has
            none.
        stem, stem_pool: see `zoo.shared.stem`.
        head: what comes after the last section.
        conv_options: `binary`, `pad_values`, `kernel_clip` of `zoo.shared.activated_conv`.
    """
    if input_bn:
        x = shared.batch_norm(x, "input_bn", INPUT_BN_EPSILON, scale=False)
    x = shared.batch_norm(shared.stem(x, stem, stem_pool), "stem_bn")
    x = sections(x, blocks, channels, **conv_options)
    return head(shared.relu(x, "head/relu"))


PAPER = Paper(
    network=network,
    settings={
        "blocks": shared.BLOCKS,
        "channels": shared.CHANNELS,
        "input_bn": Setting("a BatchNorm with a fixed scale on the image", Switch()),
        **shared.STEM_SETTINGS,
        **shared.CONV_SETTINGS,
    },
    variants=VARIANTS,
    recipes=RECIPES,
    params=PARAMS,
    check=shared.check_sections,
    larq_zoo_settings={
        "stem": "conv7x7",
        "input_bn": False,
        "kernel_clip": 1.3,
        "normalization": "larq_zoo",
    },
    hdf5_reader=larq_zoo.read,
)

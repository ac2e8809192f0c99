"""ResNet: Deep Residual Learning for Image Recognition, in 32 bits.

He, Zhang, Ren, Sun, 2016 (https://arxiv.org/abs/1512.03385). ImageNet, as the MeliusNet paper quotes
its 32-bit baselines (sizes in decimal MB): resnet18 69.3 %, 46.8 MB, 18.1e8 FLOPs; resnet34 73.3 %,
87.2 MB, 36.6e8 FLOPs.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import Setting, Switch
from zoo import shared
from zoo.checkpoints import torchvision
from zoo.paper import Paper

CHANNELS = (64, 128, 256, 512)
VARIANTS = {
    "resnet18": dict(blocks=(2, 2, 2, 2), channels=CHANNELS),
    "resnet34": dict(blocks=(3, 4, 6, 3), channels=CHANNELS),
}

PARAMS = {"resnet18": 11_689_512, "resnet34": 21_797_672}  # torchvision's
RECIPES = dict.fromkeys(VARIANTS, "float_study")


def padded_conv(
    x: tf.Tensor, filters: int, kernel_size: int, name: str, strides: int, symmetric: bool
) -> tf.Tensor:
    """A convolution that pads both sides alike if `symmetric`, and otherwise as 'same' does."""
    if not symmetric or strides == 1:
        return shared.conv(x, filters, kernel_size, name, strides)
    if kernel_size > 1:
        x = tf.keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    return tf.keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        use_bias=False,
        kernel_initializer=shared.he_normal(),
        name=name,
    )(x)


def basic_block(x: tf.Tensor, filters: int, strides: int, name: str, symmetric: bool) -> tf.Tensor:
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes
    (figure 2, option B)."""
    y = padded_conv(x, filters, 3, f"{name}/conv1", strides, symmetric)
    y = shared.relu(shared.batch_norm(y, f"{name}/bn1"), f"{name}/relu")
    y = shared.batch_norm(shared.conv(y, filters, 3, f"{name}/conv2"), f"{name}/bn2")
    if strides > 1 or x.shape[-1] != filters:
        x = padded_conv(x, filters, 1, f"{name}/shortcut_conv", strides, symmetric)
        x = shared.batch_norm(x, f"{name}/shortcut_bn")
    return shared.relu(tf.keras.layers.Add(name=f"{name}/add")([x, y]), name)


def network(
    x: tf.Tensor,
    *,
    blocks: tuple[int, ...],
    channels: tuple[int, ...],
    symmetric: bool = False,
    stem: str = "conv7x7",
    stem_pool: int = 3,
    head: shared.Head,
) -> tf.Tensor:
    """The network after the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        blocks: basic blocks in each section.
        channels: of each section.
        symmetric: pad strided convolutions and the pooling alike on both sides, as PyTorch does,
            whose weights then give its numbers. Not for conversion: LCE fuses such padding wrongly.
        stem, stem_pool: see `zoo.shared.stem`.
        head: what comes after the last section.
    """
    x = symmetric_stem(x) if symmetric else shared.stem(x, stem, stem_pool)
    for section, (depth, filters) in enumerate(zip(blocks, channels, strict=True), start=1):
        for block in range(1, depth + 1):
            strides = 2 if section > 1 and block == 1 else 1
            x = basic_block(x, filters, strides, f"section{section}_block{block}", symmetric)
    return head(x)


def symmetric_stem(x: tf.Tensor) -> tf.Tensor:
    """The 7x7 stem with PyTorch's padding."""
    x = padded_conv(x, 64, 7, "stem/conv", 2, symmetric=True)
    x = shared.relu(shared.batch_norm(x, "stem/bn"), "stem/relu")
    # After a ReLU a border of zeros never is the maximum.
    x = tf.keras.layers.ZeroPadding2D(1, name="stem/pad")(x)
    return tf.keras.layers.MaxPooling2D(3, strides=2, name="stem")(x)


def check(settings: Mapping[str, Any]) -> None:
    """Raise UserError unless the settings go together."""
    shared.check_sections(settings)
    stem, pool = settings.get("stem", "conv7x7"), settings.get("stem_pool", 3)
    if settings.get("symmetric") and (stem, pool) != ("conv7x7", 3):
        raise UserError(
            f"symmetric=True goes with stem='conv7x7' and stem_pool=3 only. Received: {stem!r}, {pool}."
        )


PAPER = Paper(
    network=network,
    settings={
        "blocks": shared.BLOCKS,
        "channels": shared.CHANNELS,
        "symmetric": Setting("pad as PyTorch does, for its weights", Switch()),
        **shared.STEM_SETTINGS,
    },
    variants=VARIANTS,
    recipes=RECIPES,
    params=PARAMS,
    check=check,
    torch_settings={"symmetric": True, "normalization": "larq_zoo"},  # the constants are torchvision's too
    torch_naming=torchvision.naming,
)

"""Bi-Real Net: Enhancing the Performance of 1-bit CNNs.

Liu, Wu, Luo, Yang, Liu, Cheng, 2018 (https://arxiv.org/abs/1808.00278). ImageNet, 7x7 stem, as
published: birealnet18 56.4 %, birealnet34 62.2 %; 1.63e8 and 1.93e8 OPs (FLOPs + BOPs / 64).

Here with MeliusNet's quantizers and recipe, as that paper's comparison has it: ResNetE without its
extra BatchNorms and its last ReLU.
"""

from typing import Any

import tensorflow as tf

from zoo import resnete, shared
from zoo.paper import Paper

VARIANTS = {
    "birealnet18": dict(blocks=(2, 2, 2, 2), channels=resnete.CHANNELS),
    "birealnet34": dict(blocks=(3, 4, 6, 3), channels=resnete.CHANNELS),
}

RECIPES = dict.fromkeys(VARIANTS, "meliusnet")


def network(
    x: tf.Tensor,
    *,
    blocks: tuple[int, ...],
    channels: tuple[int, ...],
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
        stem, stem_pool: see `zoo.shared.stem`.
        head: what comes after the last section.
        conv_options: `binary`, `pad_values`, `kernel_clip` of `zoo.shared.activated_conv`.
    """
    return head(resnete.sections(shared.stem(x, stem, stem_pool), blocks, channels, **conv_options))


PAPER = Paper(
    network=network,
    settings={
        "blocks": shared.BLOCKS,
        "channels": shared.CHANNELS,
        **shared.STEM_SETTINGS,
        **shared.CONV_SETTINGS,
    },
    variants=VARIANTS,
    recipes=RECIPES,
    check=shared.check_sections,
)

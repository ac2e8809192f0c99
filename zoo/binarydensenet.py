"""BinaryDenseNet: Developing an Architecture for Binary Neural Networks.

Bethge, Yang, Bornstein, Meinel, 2019 (https://arxiv.org/abs/1906.08637). ImageNet, 7x7 stem, as the
MeliusNet paper's authors trained them again and counted them (OPs = FLOPs + BOPs / 64):

| name             | blocks       | top-1 % | MiB  | OPs    |
|------------------|--------------|---------|------|--------|
| binarydensenet28 | 6, 6, 6, 5   | 61.7    | 4.04 | 2.58e8 |
| binarydensenet37 | 6, 8, 12, 6  | 63.3    | 5.13 | 2.70e8 |
| binarydensenet45 | 6, 12, 14, 8 |         |      |        |

With the grouped stem, the default here, 28 reaches 62.6 % and 37 reaches 64.2 %. densenet28 is the
32-bit DenseNet that the MeliusNet paper compares with (its section 4.2).
"""

from typing import Any

import tensorflow as tf

from zoo import shared
from zoo.checkpoints import larq_zoo
from zoo.paper import Paper

# channels: after each transition, the channels before it divided by the paper's reduction and rounded to
# multiples of 32.
VARIANTS: dict[str, dict] = {
    "binarydensenet28": dict(blocks=(6, 6, 6, 5), channels=(160, 192, 256)),
    "binarydensenet37": dict(blocks=(6, 8, 12, 6), channels=(128, 192, 256)),
    "binarydensenet45": dict(blocks=(6, 12, 14, 8), channels=(160, 288, 288)),
    "densenet28": dict(blocks=(6, 6, 6, 5), channels=(160, 192, 256), binary=False, convolve_first=True),
}

PARAMS = {"binarydensenet28": 5_127_688, "binarydensenet37": 8_698_440}  # grouped stem
RECIPES = {**dict.fromkeys(VARIANTS, "meliusnet"), "densenet28": "float_study"}


def block(x: tf.Tensor, growth: int, name: str, **conv_options: Any) -> tf.Tensor:
    """A dense block alone."""
    return shared.dense_block(x, growth, name, **conv_options)[0]


def network(
    x: tf.Tensor,
    *,
    blocks: tuple[int, ...],
    channels: tuple[int, ...],
    growth: int = 64,
    convolve_first: bool = False,
    stem: str = "grouped",
    stem_pool: int = 3,
    head: shared.Head,
    **conv_options: Any,
) -> tf.Tensor:
    """The network after the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        blocks: dense blocks in each section.
        channels: after the transition that ends each section but the last.
        growth: channels that a dense block adds.
        convolve_first: see `zoo.shared.transition`.
        stem, stem_pool: see `zoo.shared.stem`.
        head: what comes after the last section.
        conv_options: `binary`, `pad_values`, `kernel_clip` of `zoo.shared.activated_conv`.
    """
    x = shared.stem(x, stem, stem_pool)
    x = shared.dense_sections(
        x, block, growth, blocks, channels, convolve_first=convolve_first, **conv_options
    )
    return head(x)


PAPER = Paper(
    network=network,
    settings={
        "blocks": shared.BLOCKS,
        "channels": shared.CHANNELS,
        "growth": shared.GROWTH,
        "convolve_first": shared.CONVOLVE_FIRST,
        **shared.STEM_SETTINGS,
        **shared.CONV_SETTINGS,
    },
    variants=VARIANTS,
    recipes=RECIPES,
    params=PARAMS,
    check=shared.check_transitions,
    larq_zoo_settings={"stem": "conv7x7", "kernel_clip": 1.3, "normalization": "larq_zoo"},
    hdf5_reader=larq_zoo.read,
)

"""MeliusNet: Can Binary Neural Networks Achieve MobileNet-level Accuracy?

Bethge, Bartz, Yang, Chen, Meinel, 2020 (https://arxiv.org/abs/2001.05936). ImageNet, grouped stem,
as published (OPs = FLOPs + BOPs / 64):

| name        | blocks        | top-1 % | MiB   | OPs    |
|-------------|---------------|---------|-------|--------|
| meliusnet22 | 4, 5, 4, 4    | 63.6    | 3.88  | 2.08e8 |
| meliusnet29 | 4, 6, 8, 6    | 65.8    | 5.07  | 2.14e8 |
| meliusnet42 | 5, 8, 14, 10  | 69.2    | 10.10 | 3.25e8 |
| meliusnet59 | 6, 12, 24, 12 | 71.0    | 17.39 | 5.32e8 |
| meliusneta  | 4, 5, 5, 6    | 63.4    | 4.05  | 1.62e8 |
| meliusnetb  | 4, 6, 8, 6    | 65.7    | 5.00  | 1.96e8 |
| meliusnetc  | 3, 5, 10, 6   | 64.1    | 4.46  | 1.50e8 |

With them two networks of the paper's own comparisons: the 32-bit MeliusNet of section 4.2 and the
naive network of the supplement.
"""

from typing import Any

import tensorflow as tf

from bnn_keras.settings.kinds import Choice, Setting
from zoo import shared
from zoo.checkpoints import larq_zoo
from zoo.paper import Paper

# channels: after each transition; groups: of its convolution.
# The paper prints 224 as the last of C's channels; only the code's 288 gives its published numbers.
VARIANTS: dict[str, dict] = {
    "meliusnet22": dict(blocks=(4, 5, 4, 4), channels=(160, 224, 256), groups=1),
    "meliusnet29": dict(blocks=(4, 6, 8, 6), channels=(128, 192, 256), groups=1),
    "meliusnet42": dict(blocks=(5, 8, 14, 10), channels=(160, 256, 416), groups=1),
    "meliusnet59": dict(blocks=(6, 12, 24, 12), channels=(192, 320, 544), groups=1),
    "meliusneta": dict(blocks=(4, 5, 5, 6), channels=(160, 256, 288), groups=4),
    "meliusnetb": dict(blocks=(4, 6, 8, 6), channels=(160, 224, 320), groups=2),
    "meliusnetc": dict(blocks=(3, 5, 10, 6), channels=(128, 192, 288), groups=4),
    # The 32-bit twin of section 4.2. The paper prints no channels; of all multiples of 32 only these
    # give its 20.87 MB and 4.5e9 FLOPs with the transition's convolution before its pooling, which
    # also gives the DenseNet beside it its 4.0e9.
    "meliusnet20_float": dict(
        blocks=(4, 4, 4, 3), channels=(160, 192, 224), groups=1, binary=False, convolve_first=True
    ),
    # Of the supplement. Its 2.58e8 operations need stem="conv7x7".
    "naivenet17": dict(blocks=(3, 3, 3, 3), channels=(128, 160, 192), block="naive"),
}
PARAMS = {
    "meliusnet22": 6_944_584,
    "meliusnet29": 11_328_328,
    "meliusnet42": 26_825_544,
    "meliusnet59": 55_555_336,
    "meliusneta": 9_238_984,
    "meliusnetb": 12_239_176,
    "meliusnetc": 12_240_264,
}
RECIPES = {
    **dict.fromkeys(VARIANTS, "meliusnet"),
    "meliusnet20_float": "float_study",
    "meliusnet59": "meliusnet59",
    "naivenet17": "naivenet",
}


def melius_block(x: tf.Tensor, growth: int, name: str, **conv_options: Any) -> tf.Tensor:
    """A dense block adds `growth` channels, and an improvement block improves just these channels
    (section 3.1, figure 1a)."""
    grown, new = shared.dense_block(x, growth, f"{name}_dense", **conv_options)
    change = shared.activated_conv(
        shared.batch_norm(grown, f"{name}_improvement/bn"), growth, f"{name}_improvement", **conv_options
    )
    better = tf.keras.layers.Add(name=f"{name}_improvement/add")([new, change])
    # Joining the other channels again costs one pass less than cutting them out of the feature map.
    return tf.keras.layers.Concatenate(name=f"{name}_improvement")([x, better])


def naive_block(x: tf.Tensor, growth: int, name: str, **conv_options: Any) -> tf.Tensor:
    """A dense block and a residual block over the full width, with which the improvement block is
    compared (supplement, section 2, figure 2a)."""
    x, _ = shared.dense_block(x, growth, f"{name}_dense", **conv_options)
    change = shared.activated_conv(
        shared.batch_norm(x, f"{name}_residual/bn"), x.shape[-1], f"{name}_residual", **conv_options
    )
    return tf.keras.layers.Add(name=f"{name}_residual")([x, change])


BLOCKS = {"melius": melius_block, "naive": naive_block}


def network(
    x: tf.Tensor,
    *,
    blocks: tuple[int, ...],
    channels: tuple[int, ...],
    groups: int = 1,
    growth: int = 64,
    block: str = "melius",
    convolve_first: bool = False,
    stem: str = "grouped",
    stem_pool: int = 3,
    head: shared.Head,
    **conv_options: Any,
) -> tf.Tensor:
    """The network after the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        blocks: pairs of a dense and an improvement block in each section.
        channels: after the transition that ends each section but the last.
        groups: of the transitions' convolutions.
        growth: channels that a dense block adds.
        block: "melius", or "naive" (the supplement's).
        convolve_first: see `zoo.shared.transition`.
        stem, stem_pool: see `zoo.shared.stem`.
        head: what comes after the last section.
        conv_options: `binary`, `pad_values`, `kernel_clip` of `zoo.shared.activated_conv`.
    """
    x = shared.stem(x, stem, stem_pool)
    x = shared.dense_sections(
        x, BLOCKS[block], growth, blocks, channels, groups, convolve_first, **conv_options
    )
    return head(x)


PAPER = Paper(
    network=network,
    settings={
        "blocks": shared.BLOCKS,
        "channels": shared.CHANNELS,
        "groups": Setting("groups of the transitions' convolutions", Choice(shared.GROUPS)),
        "growth": shared.GROWTH,
        "block": Setting("what a section is made of", Choice(tuple(BLOCKS))),
        "convolve_first": shared.CONVOLVE_FIRST,
        **shared.STEM_SETTINGS,
        **shared.CONV_SETTINGS,
    },
    variants=VARIANTS,
    recipes=RECIPES,
    params=PARAMS,
    check=shared.check_transitions,
    larq_zoo_settings={"stem_pool": 2, "kernel_clip": 1.3, "normalization": "larq_zoo"},
    hdf5_reader=larq_zoo.read,
)

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

import tensorflow as tf

from bnn_keras.errors import one_of
from zoo import shared

# channels: behind each transition; groups: of its convolution; params: as published.
# The paper prints 224 as the last of C's channels; only the code's 288 gives its published numbers.
VARIANTS = {
    "meliusnet22": dict(blocks=(4, 5, 4, 4), channels=(160, 224, 256), groups=1, params=6_944_584),
    "meliusnet29": dict(blocks=(4, 6, 8, 6), channels=(128, 192, 256), groups=1, params=11_328_328),
    "meliusnet42": dict(blocks=(5, 8, 14, 10), channels=(160, 256, 416), groups=1, params=26_825_544),
    "meliusnet59": dict(blocks=(6, 12, 24, 12), channels=(192, 320, 544), groups=1, params=55_555_336),
    "meliusneta": dict(blocks=(4, 5, 5, 6), channels=(160, 256, 288), groups=4, params=9_238_984),
    "meliusnetb": dict(blocks=(4, 6, 8, 6), channels=(160, 224, 320), groups=2, params=12_239_176),
    "meliusnetc": dict(blocks=(3, 5, 10, 6), channels=(128, 192, 288), groups=4, params=12_240_264),
    # The 32-bit twin of section 4.2. The paper prints no channels; of all multiples of 32 only these
    # give its 20.87 MB and 4.5e9 FLOPs with the transition's convolution before its pooling, which
    # also gives the DenseNet beside it its 4.0e9.
    "meliusnet20_float": dict(
        blocks=(4, 4, 4, 3), channels=(160, 192, 224), groups=1, binary=False, convolve_first=True
    ),
    # Of the supplement. Its 2.58e8 operations need stem="conv7x7".
    "naivenet17": dict(blocks=(3, 3, 3, 3), channels=(128, 160, 192), block="naive"),
}

RECIPES = dict.fromkeys(VARIANTS, "meliusnet")
RECIPES["meliusnet20_float"] = "float_study"
RECIPES |= {"meliusnet59": "meliusnet59", "naivenet17": "naivenet"}


def melius_block(x, growth: int, name: str, **conv_options):
    """A dense block, which adds `growth` channels, and the improvement block, which improves just
    those (section 3.1, figure 1a)."""
    grown, new = shared.dense_block(x, growth, f"{name}_dense", **conv_options)
    change = shared.activated_conv(
        shared.batch_norm(grown, f"{name}_improvement/bn"), growth, f"{name}_improvement", **conv_options
    )
    better = tf.keras.layers.Add(name=f"{name}_improvement/add")([new, change])
    # The other channels are joined again, not cut out of the feature map: one pass less over it.
    return tf.keras.layers.Concatenate(name=f"{name}_improvement")([x, better])


def naive_block(x, growth: int, name: str, **conv_options):
    """A dense block and a residual block over the full width: what the improvement block is better
    than (supplement, section 2, figure 2a)."""
    x, _ = shared.dense_block(x, growth, f"{name}_dense", **conv_options)
    change = shared.activated_conv(
        shared.batch_norm(x, f"{name}_residual/bn"), x.shape[-1], f"{name}_residual", **conv_options
    )
    return tf.keras.layers.Add(name=f"{name}_residual")([x, change])


BLOCKS = {"melius": melius_block, "naive": naive_block}


def network(
    x,
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
    **conv_options,
):
    """The network behind the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        blocks: pairs of dense and improvement block in each section.
        channels: behind the transition that ends each section but the last.
        groups: of the transitions' convolutions.
        growth: channels that a dense block adds.
        block: "melius", or "naive" (the supplement's).
        convolve_first: see `zoo.shared.transition`.
        stem, stem_pool: see `zoo.shared.stem`.
        head: what follows the last section.
        conv_options: `binary`, `pad_values`, `kernel_clip` of `zoo.shared.activated_conv`.
    """
    if block not in BLOCKS:
        raise one_of("block", block, BLOCKS)
    x = shared.stem(x, stem, stem_pool)
    for section, depth in enumerate(blocks, start=1):
        for number in range(1, depth + 1):
            x = BLOCKS[block](x, growth, f"section{section}_block{number}", **conv_options)
        if section < len(blocks):
            name = f"section{section}_transition"
            x = shared.transition(x, channels[section - 1], name, groups, convolve_first)
    x = shared.relu(shared.batch_norm(x, "head/bn"), "head/relu")
    return head(x)

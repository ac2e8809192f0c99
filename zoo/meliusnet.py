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
"""

import tensorflow as tf

from bnn_keras import layers
from bnn_keras.recipe import Recipe
from zoo import shared

SHUFFLE_GROUPS = 16  # of the shuffle before a grouped transition, whatever that one's groups

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
}

RECIPES = dict.fromkeys(VARIANTS, Recipe(epochs=120, batch_size=64, optimizer="radam", learning_rate=0.002))
RECIPES["meliusnet59"] = Recipe(
    epochs=150, batch_size=96, optimizer="radam", learning_rate=0.003, tail_epochs=20, tail_learning_rate=3e-6
)


def melius_block(x, growth: int, name: str, **conv_options):
    """A dense block, which adds `growth` channels, and the improvement block, which improves just
    those (section 3.1, figure 1a)."""
    new = shared.activated_conv(
        shared.batch_norm(x, f"{name}_dense/bn"), growth, f"{name}_dense", **conv_options
    )
    grown = tf.keras.layers.Concatenate(name=f"{name}_dense")([x, new])
    change = shared.activated_conv(
        shared.batch_norm(grown, f"{name}_improvement/bn"), growth, f"{name}_improvement", **conv_options
    )
    better = tf.keras.layers.Add(name=f"{name}_improvement/add")([new, change])
    # The other channels are joined again, not cut out of the feature map: one pass less over it.
    return tf.keras.layers.Concatenate(name=f"{name}_improvement")([x, better])


def transition(x, filters: int, groups: int, name: str):
    """Halve the feature map's edge and about halve its channels, in 32 bits (section 3.1)."""
    x = shared.batch_norm(x, f"{name}/bn")
    x = shared.relu(shared.max_pool(x, 2, f"{name}/pool"), f"{name}/relu")
    if groups > 1:
        x = layers.ChannelShuffle(SHUFFLE_GROUPS, name=f"{name}/shuffle")(x)
    return shared.conv(x, filters, 1, name, groups=groups)


def network(
    x,
    *,
    blocks: tuple[int, ...],
    channels: tuple[int, ...],
    groups: int = 1,
    growth: int = 64,
    stem: str = "grouped",
    stem_pool: int = 3,
    head: shared.Head = shared.Head(),
    **conv_options,
):
    """The network behind the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        blocks: pairs of dense and improvement block in each section.
        channels: behind the transition that ends each section but the last.
        groups: of the transitions' convolutions.
        growth: channels that a dense block adds.
        stem, stem_pool: see `zoo.shared.stem`.
        head: what follows the last section.
        conv_options: `binary`, `pad_values`, `kernel_clip` of `zoo.shared.activated_conv`.
    """
    x = shared.stem(x, stem, stem_pool)
    for section, depth in enumerate(blocks, start=1):
        for block in range(1, depth + 1):
            x = melius_block(x, growth, f"section{section}_block{block}", **conv_options)
        if section < len(blocks):
            x = transition(x, channels[section - 1], groups, f"section{section}_transition")
    x = shared.relu(shared.batch_norm(x, "head/bn"), "head/relu")
    return head(x)

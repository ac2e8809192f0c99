"""MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications.

Howard et al., 2017 (https://arxiv.org/abs/1704.04861): the compact networks that the MeliusNet paper
measures itself against. ImageNet, as it quotes them (FLOPs, the dense layer included):

| name            | top-1 % | MB  | FLOPs  |
|-----------------|---------|-----|--------|
| mobilenetv1_050 | 63.7    | 5.1 | 1.49e8 |
| mobilenetv1_075 | 68.4    | 10  | 3.25e8 |
| mobilenetv1_100 | 70.6    | 17  | 5.69e8 |

The layers and their names are those of `tf.keras.applications.MobileNet`.
"""

import itertools
from collections.abc import Iterator

import tensorflow as tf

from bnn_keras.settings.kinds import Number, Setting
from zoo import shared
from zoo.paper import Paper

VARIANTS = {
    "mobilenetv1_050": dict(alpha=0.5),
    "mobilenetv1_075": dict(alpha=0.75),
    "mobilenetv1_100": dict(alpha=1.0),
}

RECIPES = dict.fromkeys(VARIANTS, "float_study")


def network(x: tf.Tensor, *, alpha: float, head: shared.Head) -> tf.Tensor:
    """The network after the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        alpha: share of the channels that each layer keeps (section 3.3).
        head: what comes after the last convolution.
    """
    features = tf.keras.applications.MobileNet(input_tensor=x, alpha=alpha, weights=None, include_top=False)
    return head(features.output)


def block_plan(widths: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Input width, output width and stride of each block of a network laid out as MobileNet-v1.

    The image is halved where the width grows, except in the first block (table 1).

    Args:
        widths: input channels of every block, and the output channels of the last.
    """
    for number, (width, after) in enumerate(itertools.pairwise(widths)):
        yield width, after, 2 if after > width and number else 1


PAPER = Paper(
    network=network,
    settings={
        "alpha": Setting("share of the channels that each layer keeps", Number(0, 4, open_low=True)),
    },
    variants=VARIANTS,
    recipes=RECIPES,
    # To [-1, 1].
    normalizations={"imagenet2012": ((127.5,) * 3, (127.5,) * 3)},
)

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

import tensorflow as tf

from zoo import shared

NORMALIZATIONS = {"imagenet2012": ((127.5,) * 3, (127.5,) * 3)}  # to [-1, 1]

VARIANTS = {
    "mobilenetv1_050": dict(alpha=0.5),
    "mobilenetv1_075": dict(alpha=0.75),
    "mobilenetv1_100": dict(alpha=1.0),
}

RECIPES = dict.fromkeys(VARIANTS, "float_study")


def network(x, *, alpha: float, head: shared.Head):
    """The network behind the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        alpha: share of the channels that each layer keeps (section 3.3).
        head: what follows the last convolution.
    """
    features = tf.keras.applications.MobileNet(input_tensor=x, alpha=alpha, weights=None, include_top=False)
    return head(features.output)

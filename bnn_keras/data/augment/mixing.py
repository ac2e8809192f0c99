"""Mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019) of neighbours in a batch."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def plan(random: np.random.Generator, steps: int, size: int, mixup: float, cutmix: float) -> dict:
    """Draw how every batch of an epoch is mixed; as in timm, all images of a batch in the same way.

    Args:
        random: generator of the epoch.
        steps: how many batches there are.
        size: edge in pixels of the images.
        mixup, cutmix: alpha of the symmetric beta distribution of the share; 0 is off. With both, one
            of them is chosen for every batch, with probability 1/2.

    Returns:
        "cut", bool [steps], whether it is CutMix: the other image fills a box; "share", float32
        [steps], the share of an image in its mixture, corrected if the border cuts the box off; "box",
        int32 [steps, 4]: top, left, bottom, right.
    """
    cut = random.random(steps) < (0.5 if mixup and cutmix else float(cutmix > 0))
    # Both are always drawn; alpha is 1 if one is off.
    drawn = [random.beta(alpha or 1, alpha or 1, steps) for alpha in (cutmix, mixup)]
    share: np.ndarray = np.where(cut, drawn[0], drawn[1])
    half = (size * np.sqrt(1 - share)).astype(int)[:, None] // 2
    middle = random.integers(0, size, (steps, 2))
    low, high = np.clip(middle - half, 0, size), np.clip(middle + half, 0, size)
    share = np.where(cut, 1 - np.prod(high - low, axis=1) / size**2, share)
    return {
        "cut": cut,
        "share": share.astype(np.float32),
        "box": np.concatenate([low, high], axis=1).astype(np.int32),
    }


def mix(
    images: tf.Tensor, labels: tf.Tensor, classes: int, how: dict, repeats: int = 1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mix a batch as planned.

    Args:
        images: float32, [batch, size, size, 3], the batch known.
        labels: integers [batch].
        classes: how many there are.
        how: the entries of a `plan` for this batch.
        repeats: copies of an image that are neighbours.

    Returns:
        Images like the given ones, and labels, float32 [batch, classes], that sum to 1.
    """
    partner = partners(images.shape[0], repeats)
    others, share = tf.gather(images, partner), how["share"]
    mixed = tf.cond(
        how["cut"],
        lambda: _paste(images, others, tf.unstack(how["box"])),
        lambda: images + (1 - share) * (others - images),
    )
    own = tf.one_hot(labels, classes)
    return tf.ensure_shape(mixed, images.shape), share * own + (1 - share) * tf.gather(own, partner)


def partners(batch: int, repeats: int = 1) -> np.ndarray:
    """The index of the image that each image is mixed with.

    Each is mixed with its neighbour, the copies of an image with the copies of the next; an image
    without a neighbour with itself. So parts of a batch on several machines are mixed as the whole
    batch.
    """
    blocks = np.split(np.arange(batch), range(2 * repeats, batch, 2 * repeats))
    return np.concatenate([block[::-1] for block in blocks])


def describe(weights: np.ndarray, class_names: Sequence[str], least: float = 0.005) -> str:
    """A soft label in words: "cat", or "cat 0.70, dog 0.30"."""
    present = [i for i in np.argsort(-weights) if weights[i] >= least]
    if len(present) == 1 and math.isclose(weights[present[0]], 1, abs_tol=least):
        return class_names[present[0]]
    return ", ".join(f"{class_names[i]} {weights[i]:.2f}" for i in present)


def _paste(images: tf.Tensor, others: tf.Tensor, box: list[tf.Tensor]) -> tf.Tensor:
    """`images` with the box from `others`."""
    top, left, bottom, right = box
    middle = [images[:, top:bottom, :left], others[:, top:bottom, left:right], images[:, top:bottom, right:]]
    return tf.concat([images[:, :top], tf.concat(middle, axis=2), images[:, bottom:]], axis=1)

"""The order of records."""

import numpy as np
import tensorflow as tf


def shuffle(records: tf.data.Dataset, buffer: int, random: np.random.Generator) -> tf.data.Dataset:
    """`records.shuffle(buffer)` by `random` alone.

    The method `shuffle` mixes in the process's global seed (`tf.random.set_seed`), so that the order
    would depend on more than an epoch's own seed; the operation that it calls does not.
    """
    seed, seed2 = random.integers(1, 2**62, size=2)
    parts = tf.nest.flatten(records.element_spec)
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        buffer_size=buffer,
        seed=seed,
        seed2=seed2,
        output_types=[part.dtype for part in parts],
        output_shapes=[part.shape for part in parts],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(shuffled, records.element_spec)

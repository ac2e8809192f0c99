"""What TensorBoard would read from a folder of event files."""

import tensorflow as tf


def events(folder):
    """The values of each tag by their step: numbers, or the histograms that TensorFlow stores."""
    found = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                array = tf.make_ndarray(value.tensor)
                assert event.step not in found.setdefault(value.tag, {}), (value.tag, event.step)
                found[value.tag][event.step] = array if array.ndim else float(array)
    return found

"""The sets of TensorFlow Datasets (TFDS) that lie on the disk."""

import os
import re
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from typing_extensions import override

from bnn_keras.data.sources import split
from bnn_keras.data.sources.order import shuffle
from bnn_keras.data.sources.source import Source
from bnn_keras.errors import UserError, did_you_mean
from bnn_keras.nn import normalization

NAME = re.compile(r"[A-Za-z_]\w*(/[\w.+-]+)?(:[\d.*]+)?")  # no namespace: TFDS would download such sets
SMALL = 64  # pixels: images up to this edge are padded and cropped
TRAIN = "train"
TEST = ("validation", "test")  # in this order: published test splits often have no labels
SHUFFLE_BYTES = 2**29  # encoded images in the buffer that examples are drawn from
READERS = 16  # files that are read at the same time


class Catalog(Source):
    """A set of TFDS as a source.

    Args:
        name: "cifar10", "imagenet2012", …; with a configuration and a version as TFDS writes them.
        data_dir: where the set lies; None is TFDS's own default.
        train_examples: train on the first so many; None is all.

    Attributes:
        train_files: the TFRecord files of the training split.

    Raises:
        UserError: the set is unknown, absent or not for classification, or train_examples does not
            fit.
    """

    def __init__(
        self, name: str, data_dir: str | os.PathLike | None, train_examples: int | None = None
    ) -> None:
        builder = _builder(name, data_dir)
        info = builder.info
        self._image, self._label = _supervised(name, info)
        test = next((split for split in TEST if split in info.splits), None)
        if TRAIN not in info.splits or test is None:
            raise UserError(
                f"{name} needs a {TRAIN} split and a {' or '.join(TEST)} split. "
                f"Received: {', '.join(sorted(info.splits)) or 'none'}."
            )
        self.train_files, self._test_files = _files(info, TRAIN), _files(info, test)
        available = info.splits[TRAIN].num_examples
        self.num_train = split.check_count(train_examples, available)
        self.num_test = info.splits[test].num_examples
        self._first_only = self.num_train < available
        self._buffer = _shuffle_buffer(info.splits[TRAIN])
        self._features = info.features
        self._decoders = {self._image: tfds.decode.SkipDecoding()}
        self.class_names = tuple(info.features[self._label].names)
        self.all_jpeg = info.features[self._image].encoding_format == "jpeg"
        edges = info.features[self._image].shape[:2]
        small = None not in edges and max(edges) <= SMALL
        self.kind = "small" if small else "photographs"
        self.edge = max(edges) if small else None
        self.normalization = builder.name if builder.name in normalization.MEAN_STD else normalization.DEFAULT

    @override
    def train(self, random: np.random.Generator) -> tf.data.Dataset:
        """Files in random order, read side by side, and examples drawn from a buffer.

        The buffer holds all of a small set, so that any order can come.
        """
        # The first N examples are the same ones in every epoch.
        files = self.train_files if self._first_only else list(random.permutation(self.train_files))
        records = tf.data.TFRecordDataset(files, num_parallel_reads=min(READERS, len(files)))
        return shuffle(records.take(self.num_train), min(self._buffer, self.num_train), random)

    @override
    def test(self) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(self._test_files)

    @override
    def read(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = self._features.deserialize_example(record, decoders=self._decoders)
        return example[self._image], tf.cast(example[self._label], tf.int64)


def _builder(name: str, data_dir: str | os.PathLike | None) -> tfds.core.DatasetBuilder:
    place = tfds.core.constants.DATA_DIR if data_dir is None else os.fspath(data_dir)
    if not NAME.fullmatch(name):
        raise _unknown(name, place)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        raise _unknown(name, place) from None
    except (ValueError, AssertionError) as error:  # a configuration or version that does not exist
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"TensorFlow Datasets has no {name!r}: {reason}.") from error
    if not Path(builder.data_dir).is_dir():
        raise UserError(_how_to_get(builder, name, place))
    return builder


def _unknown(name: str, place: str) -> UserError:
    known = ["digits", *tfds.list_builders(with_community_datasets=False)]
    advice = did_you_mean(name, known)
    return UserError(
        f"Unknown data set {name!r}: it is neither digits, nor folder:PATH, nor a set of TensorFlow Datasets "
        f"in {place}{'; ' * bool(advice)}{advice or '.'}"
    )


def _how_to_get(builder: tfds.core.DatasetBuilder, name: str, place: str) -> str:
    manual = Path(place) / "downloads" / "manual"
    archives = (
        f" (after putting the archives that https://www.tensorflow.org/datasets/catalog/{builder.name} names "
        f"into {manual})"
        if builder.MANUAL_DOWNLOAD_INSTRUCTIONS
        else ""
    )
    call = f"import tensorflow_datasets as tfds; tfds.load('{name}', data_dir='{place}')"
    return (
        f"{name} is not in {place}, and nothing is downloaded unasked: give the data_dir that holds it, or "
        f'get it with python -c "{call}"{archives}.'
    )


def _supervised(name: str, info: tfds.core.DatasetInfo) -> tuple[str, str]:
    """The names of the image and of the label."""
    keys = info.supervised_keys if len(info.supervised_keys or ()) == 2 else ("image", "label")
    types = (tfds.features.Image, tfds.features.ClassLabel)
    if not all(
        key in info.features and isinstance(info.features[key], t) for key, t in zip(keys, types, strict=True)
    ):
        raise UserError(
            f"{name} is not a set for image classification: it needs an image and a class label. "
            f"Received: {', '.join(sorted(info.features))}."
        )
    return keys


def _files(info: tfds.core.DatasetInfo, split_name: str) -> list[str]:
    if info.file_format != tfds.core.FileFormat.TFRECORD:
        raise UserError(f"{info.name} is stored as {info.file_format.value}; valid is tfrecord.")
    files = [os.fspath(path) for path in info.splits[split_name].filepaths]
    for file in files:
        if not os.path.exists(file):
            raise UserError(f"{info.name} is not complete: there is no file {file}.")
    return files


def _shuffle_buffer(split_info: tfds.core.SplitInfo) -> int:
    """How many encoded images fit into SHUFFLE_BYTES."""
    each = max(1, int(split_info.num_bytes) // max(1, split_info.num_examples))
    return max(1, SHUFFLE_BYTES // each)

"""Measure the throughput of the ImageNet training pipeline beside the least that any pipeline must do.

bnn benchmark data [flags]

The baseline reads the same records, decodes crops, resizes and batches them, on as many threads. Its crops
are drawn beforehand, from the same distribution; it shuffles, draws and flips nothing. With flags of an
augmentation, such as --rand_augment, the pipeline is also measured with that.
"""

import dataclasses

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.benchmark import timing
from bnn_keras.cli.flags import COUNT, PATH, Flag
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import Augmentation

DATASET = "imagenet2012"
# --repeats is the number of measurements here.
AUGMENTATION = [field for field in dataclasses.fields(Augmentation) if field.name != "repeats"]
FLAGS = [
    Flag("data_dir", PATH, f"where {DATASET} lies as TensorFlow Datasets keeps it"),
    Flag("images", COUNT, "images in a measurement", 3000),
    Flag("image_size", COUNT, "edge in pixels of the images that come out", 224),
    Flag("batch_size", COUNT, "images in a batch", 64),
    Flag("repeats", COUNT, "measurements of each, in turns", 15),
    *flags.of_fields(AUGMENTATION, defaults=False),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Measure and print."""
    from bnn_keras import data
    from bnn_keras.cli.benchmark import pipelines

    flags.no_more(positional)
    images, batch_size = values.images, values.batch_size
    if batch_size > images:
        raise UserError(f"The batch size must be from 1 to {images}, the images. Received: {batch_size}.")
    augmentation = Augmentation(**flags.given(values, [field.name for field in AUGMENTATION]))
    dataset = data.open(DATASET, values.data_dir, values.image_size)
    functions = {
        "bare": pipelines.bare(dataset, values.data_dir, images, batch_size),
        "training": pipelines.training(dataset, images, batch_size),
    }
    if augmentation != dataset.augmentation:
        changed = dataclasses.replace(dataset, augmentation=augmentation)
        functions["augmented"] = pipelines.training(changed, images, batch_size)
    counts = {name: function() for name, function in functions.items()}
    measured = timing.interleaved(functions, values.repeats)
    for name, count in counts.items():
        print(f"{name:9} {count / measured.median(name):8.1f} images/s (median of {values.repeats})")
    for name in list(functions)[1:]:
        print(f"{name} reaches {100 / measured.ratio(name):.1f} % of the bare pipeline's throughput")
    print(f"A/A ratio of the bare pipeline: {measured.aa_ratio:.3f}")
    print(
        f"{dataset.image_size} pixels, {counts['bare']} images in batches of {batch_size}: {timing.machine()}"
    )

"""Convert a trained network to TFLite for the Larq Compute Engine, and check the file.

python convert.py                                the newest run under runs/
python convert.py runs/meliusnet29-digits        a run folder
python convert.py model.keras --output=m.tflite  a file
python convert.py --model=meliusnet22 --weights=meliusnet22_weights.h5 \\
    --set=stem_pool=2 --set=normalization=larq_zoo

Nothing is written unless every binary convolution is binary in the file, every stage computes what
the model computes, and the weights take the bytes that are accounted for.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from bnn_keras import weights
from bnn_keras.cli import command as cli
from bnn_keras.deploy.bundle import job
from bnn_keras.deploy.conversion import orientation
from bnn_keras.errors import UserError
from zoo import registry

FLAGS = flags.FlagValues()
flags.DEFINE_string("output", None, "the .tflite; in the run folder if not given", flag_values=FLAGS)
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "which weights of a run", flag_values=FLAGS)
flags.DEFINE_string("model", None, "network of the zoo, with --weights", flag_values=FLAGS)
flags.DEFINE_string("weights", None, "its checkpoint", flag_values=FLAGS)
flags.DEFINE_integer("image_size", 224, "of --model, edge in pixels", flag_values=FLAGS)
flags.DEFINE_integer("classes", 1000, "of --model", flag_values=FLAGS)
flags.DEFINE_multi_string("set", [], "NAME=VALUE, a setting of --model", flag_values=FLAGS)
flags.DEFINE_string(
    "dataset", None, "images to compare on; the run's data set, or 'samples'", flag_values=FLAGS
)
flags.DEFINE_string("data_dir", None, "where TensorFlow Datasets keeps its sets", flag_values=FLAGS)
flags.DEFINE_integer("images", 500, "compare on no more images", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_enum(
    "orientation", orientation.UPRIGHT, orientation.ORIENTATIONS, "of the file's images", flag_values=FLAGS
)


def convert(values: flags.FlagValues, positional: list[str]) -> None:
    cli.no_more(positional, most=1)
    source = _source(values, positional)
    compared = job.images(source, values.dataset, values.data_dir, values.images)
    if values.orientation == orientation.UPSIDE_DOWN:
        source, compared = source.turned(), compared.turned()
    job.write(source, compared, values.output)


def _source(values: flags.FlagValues, positional: list[str]) -> job.Source:
    if values.model is None and values.weights is None:
        return job.find(positional[0] if positional else None, values.checkpoint)
    if positional or values.model is None or values.weights is None:
        raise UserError("Give a run folder or .keras file alone, or --model and --weights together.")
    size, path = values.image_size, Path(values.weights)
    # As in training: small photographs have a stem of their own, and a checkpoint does not say so.
    small = weights.is_torch(path) and registry.default_stem(values.model, "photographs", size)
    settings: dict = ({"stem": small} if small else {}) | dict(map(cli.setting, values.set))
    model = registry.build(values.model, (size, size, 3), values.classes, path, **settings)
    file = path / job.CHECKPOINTS["best"] if path.is_dir() else path
    config = {"model": values.model, "recipe": dataclasses.asdict(registry.recipe(values.model))}
    return job.Source(model, file, config, [], Path(f"{values.model}.tflite"))


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(convert, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())

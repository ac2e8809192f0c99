"""Convert a trained network to TFLite for the Larq Compute Engine, and check the file.

bnn convert                                the newest run under runs/
bnn convert runs/meliusnet29-digits        a run folder
bnn convert model.keras --output=m.tflite  a file
bnn convert --model=meliusnet22 --weights=imagenet    published weights
bnn convert --model=meliusnet22 --weights=meliusnet22_weights.h5 \\
    --set=stem_pool=2 --set=normalization=larq_zoo

The network is first rewritten into a form that takes fewer instructions and computes exactly the same; the
command prints what each rewrite did (docs/cost.md). --no_optimize leaves it as it is.

With --quantize=int8 the 32-bit convolutions and dense layers become integers (docs/quantization.md).

Nothing is written unless every binary convolution is binary in the file, every stage computes what
the model computes, and the file stores what each layer needs and no more.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl.flags import FlagValues

from bnn_keras.cli import flags, pretrained
from bnn_keras.cli.flags import COUNT, DATA_DIR, PATH, SWITCH, Flag
from bnn_keras.cli.network import GENOTYPE, SET, parse_settings
from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import EDGE
from bnn_keras.settings.checkpoint import IMAGENET
from bnn_keras.settings.input_type import FLOAT32, INPUT_TYPES
from bnn_keras.settings.kinds import Choice, Number, Text
from bnn_keras.settings.orientation import ORIENTATIONS, UPRIGHT, UPSIDE_DOWN
from bnn_keras.settings.quantization import BRANCH_BITS, CALIBRATION_IMAGES, LARGEST_LOSS
from bnn_keras.settings.runtime import LCE, RUNTIMES

if TYPE_CHECKING:
    from bnn_keras.deploy.bundle.integers import Int8
    from bnn_keras.deploy.bundle.source import Source
    from bnn_keras.deploy.rewrite import Options

RUNS = Path("runs")
INT8 = "int8"
OF_QUANTIZE = ("calibration_images", "largest_loss", "branch_bits")
FLAGS = [
    Flag("output", PATH, "the .tflite; in the run folder if not given"),
    flags.which_weights("checkpoint"),
    Flag("model", Text("a name of the zoo"), "network that --weights belongs to"),
    Flag("weights", PATH, "checkpoint of --model; imagenet for the published weights"),
    SET,
    GENOTYPE,
    Flag("image_size", EDGE, "edge in pixels of --model's images", 224),
    Flag("classes", COUNT, "outputs of --model", 1000),
    Flag(
        "dataset",
        Text("as in training, or samples"),
        "images to compare on; the run's own data set if not given",
    ),
    DATA_DIR,
    Flag("images", COUNT, "compare on no more images", 500),
    Flag("unchecked", Text("a layer's name"), "a layer not to compare; several are possible", repeated=True),
    Flag("runtime", Choice(RUNTIMES), "that the file will run on: it decides which form is cheap", LCE),
    Flag(
        "skip_rewrite",
        Text("a rewrite's name"),
        "a rewrite to leave out; several are possible",
        repeated=True,
    ),
    Flag("quantize", Choice((INT8,)), "32-bit convolutions and dense layers in integers of 8 bits"),
    Flag("calibration_images", COUNT, "of the training data, for --quantize", CALIBRATION_IMAGES),
    Flag("largest_loss", Number(0, 100), "points of accuracy that --quantize may lose", LARGEST_LOSS),
    Flag(
        "branch_bits",
        Choice(BRANCH_BITS),
        "weights/activations of squeeze-and-expand branches, for --quantize; 4/8 if not given",
    ),
    Flag("no_optimize", SWITCH, "leave out all rewrites", False),
    Flag("orientation", Choice(ORIENTATIONS), "of the images that the file takes", UPRIGHT),
    Flag("input", Choice(INPUT_TYPES), "type of the images that the file takes: uint8 for bytes", FLOAT32),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Convert, check, and write the file and its manifest."""
    from bnn_keras.deploy.bundle import images, job

    flags.no_more(positional, most=1)
    options = _options(values)
    source = _source(values, positional)
    # Published weights need no data set, though it is known which one they were trained on.
    dataset = values.dataset or (images.SAMPLES if values.weights == IMAGENET else None)
    compared = images.open(source, dataset, values.data_dir, values.images)
    if values.orientation == UPSIDE_DOWN:
        source, compared = source.turned(), compared.turned()
    job.write(source, compared, values.output, values.unchecked, options, values.input, _int8(values, source))


def _int8(values: FlagValues, source: "Source") -> "Int8 | None":
    """What the flags of --quantize ask for."""
    from bnn_keras.deploy.bundle import images, integers
    from bnn_keras.deploy.quantize import int8

    if values.quantize is None:
        for name in flags.given(values, OF_QUANTIZE):
            raise UserError(f"--{name} belongs to --quantize={INT8}: give both. Received: no --quantize.")
        return None
    int8.check_branch_bits(source.model, values.branch_bits)
    dataset = None if values.dataset == images.SAMPLES else values.dataset
    found = integers.calibration_images(source, dataset, values.data_dir, values.calibration_images)
    return integers.Int8(found, values.branch_bits, values.largest_loss)


def _options(values: FlagValues) -> "Options":
    from bnn_keras.deploy import rewrite

    if values.no_optimize and values.skip_rewrite:
        raise UserError(
            "--no_optimize leaves out all rewrites, --skip_rewrite one: give one of them. Received: both."
        )
    return rewrite.Options(
        values.runtime, rewrite.NAMES if values.no_optimize else tuple(values.skip_rewrite)
    )


def _source(values: FlagValues, positional: list[str]) -> "Source":
    from bnn_keras.deploy.bundle.source import source_of
    from bnn_keras.runs import trained

    if values.model is None and values.weights is None:
        path = positional[0] if positional else trained.newest_run(RUNS)
        network = trained.load(path, values.checkpoint)
        if network.config is not None and network.config.search is not None:
            run = network.path.parent
            raise UserError(
                f"{run} is a search: its network is not for devices; train the cells that it has found "
                f"(bnn train --model=bnas --genotype={run}), and convert that run."
            )
        return source_of(network)
    if positional or values.model is None or values.weights is None:
        raise UserError("Give one of a network's files alone, or --model and --weights together.")
    return _source_of_zoo(values)


def _source_of_zoo(values: FlagValues) -> "Source":
    """A network of the zoo with the weights of any checkpoint."""
    import zoo
    from bnn_keras import weights
    from bnn_keras.cli import checkpoint
    from bnn_keras.deploy.bundle.source import Source
    from bnn_keras.runs import trained
    from zoo import registry

    size = values.image_size
    # As in training: small photographs have a stem of their own, and a checkpoint does not say so.
    stem = weights.is_torch(Path(values.weights)) and registry.default_stem(values.model, "photographs", size)
    given = parse_settings(values.model, values.set, values.genotype)
    if values.weights == IMAGENET:
        return _published_source(values, given)
    settings = {**({"stem": stem} if stem else {}), **given}
    model = zoo.build(values.model, (size, size, 3), values.classes, **settings)
    note = checkpoint.difference(values.model, settings, values.weights)
    network = trained.load(values.weights, values.checkpoint, model, note)
    if note:
        print(f"{network.path}: {note}")
    # Beside the checkpoint may lie another network's run.
    trained_on = trained.TrainingData(recipe=dataclasses.asdict(zoo.recipe(values.model)))
    network = dataclasses.replace(network, class_names=None, config=None, trained_on=trained_on)
    return Source(network, values.model, Path(f"{values.model}.tflite"))


def _published_source(values: FlagValues, settings: dict[str, Any]) -> "Source":
    """A network of the zoo with its published weights."""
    from bnn_keras.deploy.bundle.source import Source
    from zoo.pretrained import published

    network = pretrained.build(values.model, values.image_size, values.classes, settings)
    print(f"{network.path}: {published(values.model).description}")
    return Source(network, values.model, Path(f"{values.model}.tflite"))

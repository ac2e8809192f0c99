"""Lower the bits of the 32-bit layers of a trained network, and measure what that costs in accuracy.

bnn quantize RUN
bnn quantize RUN --branch_bits=4/8-4/4 --epochs=0

The layers around the binary ones are quantized in simulation, as in BNext's Table 7: the stem, the
squeeze-and-expand branches, transitions (the convolutions between sections and in shortcuts) and the head.
Then they alone are fine-tuned, once for each seed. Without any bits it is done at the table's four
settings; with bits for a part, at that one setting, where the other parts have 8/8. The result is printed,
kept in RUN/quantization.json and shown in the report of the run. Weights are not saved: bnn convert
--quantize=int8 writes a file in 8 bits.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import COUNT, DATA_DIR, Flag
from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import SEED, Number, Optional
from bnn_keras.settings.quantization import BitsText, Plan

if TYPE_CHECKING:
    import tensorflow as tf

    from bnn_keras.runs.quantization import Quantization

BITS = BitsText()
PARTS = {"stem_bits": "stem", "branch_bits": "branch", "transition_bits": "transition", "head_bits": "head"}
FLAGS = [
    Flag("stem_bits", BITS, "weights/activations of the convolutions before the first binary one"),
    Flag("branch_bits", BITS, "weights/activations of the squeezing and the expanding layers"),
    Flag("transition_bits", BITS, "weights/activations of the convolutions between binary ones"),
    Flag("head_bits", BITS, "weights/activations of the output layer"),
    Flag("epochs", Number(0, whole=True), "of fine-tuning; 0 leaves it out", 5),
    Flag("learning_rate", Number(0, open_low=True), "of fine-tuning", 1e-7),
    Flag("batch_size", Optional(COUNT), "images in a step of fine-tuning; the run's if not given"),
    Flag("train_examples", Optional(COUNT), "fine-tune on no more images; the run's if not given"),
    Flag("seed", SEED, "of the order and the augmentation in fine-tuning", 0),
    Flag("seeds", COUNT, "fine-tune so many times, from --seed up", 3),
    Flag("limit", Optional(COUNT), "measure on no more held-out images"),
    flags.which_weights("weights"),
    DATA_DIR,
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Measure, print, and write the table into the run folder and its report."""
    from bnn_keras import training
    from bnn_keras.deploy.quantize.study import FineTuning, study
    from bnn_keras.runs import RunFolder, trained

    if not positional:
        raise UserError("Give a RUN, the folder of a training. Received: nothing.")
    flags.no_more(positional, most=1)
    folder = RunFolder(Path(positional[0]))
    folder.read_config()
    network = trained.load(folder.path, values.weights)
    plans = _plans(values, network.keras_model)
    training.make_deterministic(values.seed)
    seeds = tuple(range(values.seed, values.seed + values.seeds))
    tuning = FineTuning(values.epochs, values.learning_rate, values.batch_size, values.train_examples, seeds)
    found = study(network, plans, tuning, values.data_dir, values.limit)
    print(_text(found))
    found.write(folder.quantization)
    print(f"wrote {folder.quantization}")
    if folder.report.is_file():
        from bnn_keras.cli import report

        print(f"wrote {report.write_page(folder, values.data_dir)}")


def _plans(values: FlagValues, model: "tf.keras.Model") -> list[Plan]:
    """The setting that the flags give, or those of the table."""
    from bnn_keras.deploy.quantize import simulation
    from bnn_keras.papers import quantization

    there = {place.part for place in simulation.parts_of(model).values()}
    given = {PARTS[flag]: bits for flag, bits in flags.given(values, PARTS).items()}
    for flag, part in PARTS.items():
        if part in given and part not in there:
            has = ", ".join(name for name in PARTS.values() if name in there)
            raise UserError(f"--{flag}: {model.name} has no such layers; its 32-bit parts are: {has}.")
    if not given:
        return quantization.plans(there)
    return [Plan({part: given.get(part, quantization.EIGHT) for part in PARTS.values() if part in there})]


def _text(found: "Quantization") -> str:
    from tabulate import tabulate

    headings, rows = found.table()
    table = tabulate(rows, headings, disable_numparse=True, colalign=("left", *["right"] * 6))
    return f"{found.explanation}\n\n{table}"

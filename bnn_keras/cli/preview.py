"""The door to the data: what the model is shown, as a picture.

python -m bnn_keras preview --dataset=cifar10 --data_dir=DIR --recipe=bnext --output=sheet.png
python -m bnn_keras preview operations --output=operations.png

preview: a row an image: the original, and what the first epochs make of it. operations: a row for each
operation of RandAugment, at several magnitudes.
"""

import sys
from collections.abc import Sequence

from absl import flags

from bnn_keras import data
from bnn_keras.cli import augmentation_flags
from bnn_keras.cli import command as cli
from bnn_keras.data import preview
from bnn_keras.errors import UserError, one_of
from bnn_keras.settings.augmentation import Augmentation

VERBS = ("preview", "operations")


def flag_values() -> flags.FlagValues:
    """The flags, with their defaults."""
    values = flags.FlagValues()
    for name, default, meaning in (
        ("dataset", "digits", "digits, folder:PATH or a set of TensorFlow Datasets"),
        ("data_dir", None, "where TensorFlow Datasets keeps its sets"),
        ("recipe", None, "NAME or FILE.toml whose augmentation is shown; the data set's kind's if not given"),
        ("output", None, "picture to write; VERB.png if not given"),
    ):
        flags.DEFINE_string(name, default, meaning, flag_values=values)
    flags.DEFINE_integer(
        "image_size", None, "edge in pixels; the data set's if not given", flag_values=values
    )
    flags.DEFINE_integer("images", 6, "rows of the preview", flag_values=values, lower_bound=1)
    flags.DEFINE_integer("epochs", 7, "versions of each image", flag_values=values, lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of the images and the augmentation", flag_values=values, lower_bound=0)
    augmentation_flags.define(values)
    return values


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Draw and write."""
    verb = positional[0] if positional else ""
    if verb not in VERBS:
        raise one_of("verb", verb, VERBS)
    cli.no_more(positional, most=1)
    output = values.output or f"{verb}.png"
    if not output.endswith(preview.SUFFIXES):
        raise UserError(f"--output must end in {' or '.join(preview.SUFFIXES)}. Received: {output!r}.")
    augmentation = augmentation_flags.given(values, _default(values.recipe))
    dataset = data.open(values.dataset, values.data_dir, values.image_size, augmentation=augmentation)
    if verb == "preview":
        figure = preview.draw_epochs(dataset, values.images, values.epochs, values.seed)
    else:
        figure = preview.draw_operations(
            dataset, augmentation.policy is None or augmentation.policy.increasing, values.seed
        )
    preview.save(figure, output)
    print(output)


def _default(recipe: str | None) -> Augmentation | None:
    if recipe is None:
        return None
    from zoo import recipes  # a door may know the zoo; the library behind it does not

    return recipes.load(recipe).augmentation


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; see `bnn_keras.cli.command.run` for the status."""
    return cli.run(run, flag_values(), __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())

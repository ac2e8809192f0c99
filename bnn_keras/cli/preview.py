"""Draw what a network is shown in training.

bnn preview --dataset=cifar10 --data_dir=DIR --recipe=bnext --output=sheet.png
bnn preview operations --output=operations.png

The picture has a row for each image: the original, and its version in each of the first epochs. With
the word "operations" it has a row for each operation of RandAugment, at several magnitudes.
"""

import dataclasses

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import DATA, DATA_DIR, PATH, Flag
from bnn_keras.errors import UserError, one_of
from bnn_keras.settings.augmentation import EDGE, Augmentation
from bnn_keras.settings.kinds import SEED, Number, Text

OPERATIONS = "operations"
ROWS = Number(1, 100, whole=True)  # or columns
AUGMENTATION = dataclasses.fields(Augmentation)
FLAGS = [
    Flag("dataset", DATA, "whose images are drawn", "digits"),
    DATA_DIR,
    Flag(
        "recipe",
        Text("NAME or FILE.toml"),
        "its augmentation is drawn; the standard of the data if not given",
    ),
    Flag("output", PATH, "picture to write; preview.png or operations.png if not given"),
    Flag("image_size", EDGE, "edge in pixels; the data set's own if not given"),
    Flag("images", ROWS, "rows of the preview", 6),
    Flag("epochs", ROWS, "versions of each image", 7),
    Flag("seed", SEED, "of the choice of images and of the augmentation", 0),
    *flags.of_fields(AUGMENTATION, defaults=False),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Draw and write."""
    from bnn_keras import data
    from bnn_keras.data import preview

    flags.no_more(positional, most=1)
    if positional not in ([], [OPERATIONS]):
        raise one_of("picture", positional[0], [OPERATIONS])
    output = values.output or f"{positional[0] if positional else 'preview'}.png"
    if not output.endswith(preview.SUFFIXES):
        raise UserError(f"--output must end in {' or '.join(preview.SUFFIXES)}. Received: {output!r}.")
    augmentation = _augmentation(values)
    dataset = data.open(values.dataset, values.data_dir, values.image_size, augmentation=augmentation)
    with dataset.decoding():
        if positional:
            increasing = augmentation.policy is None or augmentation.policy.increasing
            figure = preview.draw_operations(dataset, increasing, values.seed)
        else:
            figure = preview.draw_epochs(dataset, values.images, values.epochs, values.seed)
    preview.save(figure, output)
    print(output)


def _augmentation(values: FlagValues) -> Augmentation:
    """The augmentation of the recipe, or the standard one, with the values of the flags."""
    from zoo import recipes

    chosen = Augmentation() if values.recipe is None else recipes.load(values.recipe).augmentation
    return dataclasses.replace(chosen, **flags.given(values, [field.name for field in AUGMENTATION]))

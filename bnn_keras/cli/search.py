"""Search for the cells of a network on your own data, as BNAS does.

bnn search                                      on scikit-learn's digits
bnn search --dataset=cifar10 --data_dir=DIR --output_dir=RUN
bnn train --model=bnas --genotype=RUN           trains the cells that were found

A weight-sharing network with every operation on every edge is trained; scores say which operations are kept.
Half of the training images are for the weights, the other half for the scores. The same command resumes a
search that was stopped, and so does `bnn search --resume=RUN`, which reads all settings from the run.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags, interruption
from bnn_keras.cli.flags import COUNT, DATA, DATA_DIR, PATH, SWITCH, Flag
from bnn_keras.cli.train import PACE, RECIPE_VALUES, recipe_of
from bnn_keras.settings.augmentation import EDGE
from bnn_keras.settings.kinds import SEED, Optional, Text
from bnn_keras.settings.search import SearchSettings

if TYPE_CHECKING:
    from bnn_keras.data import Dataset
    from bnn_keras.settings.recipe import Recipe

NETWORK = "bnas_search"
FIELDS = dataclasses.fields(SearchSettings)
# Those that the weight-sharing network is built with.
OF_THE_NETWORK = ("cells", "channels", "no_skip", "no_zeroise", "released_slip")
FLAGS = flags.in_groups(
    "Search",
    *flags.of_fields(FIELDS),
    "Data",
    Flag("dataset", DATA, "what is searched on", "digits"),
    DATA_DIR,
    Flag("image_size", Optional(EDGE), "edge in pixels; the data set's if not given"),
    Flag("train_examples", Optional(COUNT), "use no more than so many training images"),
    Flag("strict", SWITCH, "refuse a folder with broken images instead of skipping them", False),
    "Training of the weights (the recipe's own values if not given)",
    Flag("recipe", Text("NAME, or FILE.toml"), "recipe of the weights", NETWORK),
    *RECIPE_VALUES,
    "Run",
    Flag("resume", PATH, "run folder to go on with; the other settings are the run's"),
    Flag("output_dir", PATH, "run folder; runs/bnas_search-DATASET if not given"),
    Flag("seed", SEED, "of weights, scores, order and augmentation", 0),
    *PACE,
)


def run(values: FlagValues, positional: list[str]) -> None:
    """Search, and write the cells."""
    from bnn_keras import data, runs, search
    from bnn_keras.cli import resumption
    from zoo import recipes, registry

    flags.no_more(positional)
    recorded = resumption.resumed_search(values) if values.resume else None
    # What is not valid is refused before the data are opened.
    settings = SearchSettings(**{field.name: values[field.name].value for field in FIELDS})
    recipe = recorded.recipe if recorded else recipe_of(values, recipes.load(values.recipe))
    images = data.open(
        values.dataset, values.data_dir, values.image_size, values.train_examples, values.strict
    )
    images = dataclasses.replace(images, augmentation=recipe.augmentation)
    search.check(images, recipe)  # before the network is built, which takes a minute
    # The constants that the networks of these cells have too.
    constants = registry.normalization_of("bnas_a", usual=images.normalization)
    folder = Path(values.output_dir or runs.default(NETWORK, images.name))
    _search(values, settings, images, recipe, constants, folder)


def _search(
    values: FlagValues,
    settings: SearchSettings,
    images: "Dataset",
    recipe: "Recipe",
    constants: str | tuple,
    folder: Path,
) -> None:
    from bnn_keras import search, training
    from zoo import bnas_search

    training.make_deterministic(values.seed)
    shape, classes = (images.image_size, images.image_size, 3), len(images.class_names)
    of_the_network = {key: getattr(settings, key) for key in OF_THE_NETWORK}
    network = bnas_search.build(shape, classes, constants, **of_the_network)
    search.search(
        network,
        bnas_search.space(settings.no_zeroise),
        images,
        recipe,
        settings,
        folder,
        seed=values.seed,
        config={
            **{key: values[key].value for key in ("data_dir", "train_examples", "strict")},
            "overrides": {"normalization": constants},
        },
        checkpoint_steps=values.checkpoint_steps,
        log_seconds=values.log_seconds,
        stop=interruption.requested,
    )

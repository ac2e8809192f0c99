"""Rebuild the papers' tables: our numbers, the published ones, and the difference.

bnn tables [flags]
"""

from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import PATH, Flag
from bnn_keras.errors import one_of
from bnn_keras.settings.kinds import Choice, Text

if TYPE_CHECKING:
    from bnn_keras.accounting import Profile
    from bnn_keras.papers.comparison import Table

FLAGS = [
    Flag("format", Choice(("text", "markdown", "json")), "of what is printed", "text"),
    Flag("only", Text("such as 'MeliusNet, Table 2'"), "the tables whose names begin like this"),
    Flag("output", PATH, "file to write; standard output if not given"),
    Flag("picture", PATH, "PNG file for accuracy against operations and size"),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Count, and print or write."""
    from bnn_keras import files
    from bnn_keras.papers import picture, text

    flags.no_more(positional)
    tables = _rebuild(values.only or "")
    forms = {"text": text.as_text, "markdown": text.as_markdown, "json": text.as_json}
    if values.picture:
        with files.replacing(values.picture) as temporary:
            temporary.write_bytes(picture.draw(tables))
    if values.output:
        files.write_text(values.output, forms[values.format](tables))
    else:
        print(forms[values.format](tables), end="")


def _rebuild(only: str) -> "list[Table]":
    """Count the networks of the published tables whose names begin with `only`."""
    import zoo
    from bnn_keras.papers import comparison

    tables = comparison.published_tables()
    chosen = [table for table in tables if table["name"].startswith(only)]
    if not chosen:
        raise one_of("table", only, [table["name"] for table in tables])
    return comparison.compare(count, zoo.list_models(), chosen)


def count(model: str, settings: dict, dense: bool = False) -> "Profile":
    """The profile of a network for ImageNet; with `dense`, dense layers are among its operations."""
    import tensorflow as tf

    import zoo
    from bnn_keras import accounting

    found = accounting.profile(zoo.build(model, **settings), dense=dense)
    tf.keras.backend.clear_session()
    return found

"""The papers' tables, rebuilt: python -m bnn_keras tables [--format text|markdown|json]."""

import sys
from collections.abc import Sequence

from absl import flags

import bnn_keras.cli.command  # noqa: F401  first: it keeps TensorFlow's import quiet
from bnn_keras import accounting, files
from bnn_keras.cli import command as cli
from bnn_keras.errors import one_of
from bnn_keras.papers import comparison, picture, text

USAGE = """python -m bnn_keras tables [flags]

Counts the networks of the published tables and prints ours, published, and the difference."""

FORMATS = {
    "text": text.as_text,
    "markdown": text.as_markdown,
    "json": text.as_json,
}

FLAGS = flags.FlagValues()
flags.DEFINE_string("format", "text", f"One of {', '.join(FORMATS)}.", flag_values=FLAGS)
flags.DEFINE_string(
    "only", None, "Tables whose name begins so, such as 'MeliusNet, Table 2'.", flag_values=FLAGS
)
flags.DEFINE_string("output", None, "File to write instead of standard output.", flag_values=FLAGS)
flags.DEFINE_string(
    "picture", None, "File for accuracy against operations and size, a PNG.", flag_values=FLAGS
)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives its exit status."""
    return cli.run(run, FLAGS, USAGE, argv)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    cli.no_more(positional)
    if values.format not in FORMATS:
        raise one_of("format", values.format, FORMATS)
    tables = rebuild(values.only)
    report = FORMATS[values.format](tables)
    if values.picture:
        with files.replacing(values.picture) as temporary:
            temporary.write_bytes(picture.draw(tables))
    if values.output:
        files.write_text(values.output, report)
    else:
        print(report, end="")


def rebuild(only: str | None = None) -> list[comparison.Table]:
    """Count the networks of every published table, or of those whose name begins with `only`.

    Raises:
        UserError: no table is called so.
    """
    import zoo

    tables = comparison.published_tables()
    chosen = [table for table in tables if table["name"].startswith(only or "")]
    if not chosen:
        raise one_of("table", only, [table["name"] for table in tables])
    return comparison.compare(count, zoo.list_models(), chosen)


def count(model: str, settings: dict, dense: bool = False) -> accounting.Profile:
    """The profile of a network for ImageNet; with `dense`, dense layers are among its operations."""
    import tensorflow as tf

    import zoo

    found = accounting.profile(zoo.build(model, **settings), dense=dense)
    tf.keras.backend.clear_session()
    return found


if __name__ == "__main__":
    sys.exit(main())

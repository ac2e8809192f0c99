"""Teachers to choose from.

python -m bnn_keras teachers [RUN ...] [--format=text|markdown|json]
python -m bnn_keras teachers --student=MODEL

Lists the teachers of BNext's Table 8 (and the run folders and .keras files that are named) with their
parameters, accuracy and knowledge complexity, or recommends teachers for a student.
"""

import dataclasses
import json
import sys
from collections.abc import Sequence

from absl import flags
from tabulate import tabulate

import bnn_keras.cli.command  # noqa: F401  first: it keeps TensorFlow's import quiet
from bnn_keras import accounting
from bnn_keras.cli import command as cli
from bnn_keras.distillation import applications, sources
from bnn_keras.distillation.teacher import Teacher, trainable_parameters
from bnn_keras.errors import one_of
from bnn_keras.papers import recommendation
from bnn_keras.papers import teachers as published
from bnn_keras.papers.teachers import knowledge_complexity

FLAGS = flags.FlagValues()
flags.DEFINE_string("student", None, "network of the zoo, to recommend teachers for", flag_values=FLAGS)
flags.DEFINE_string("format", "text", "text, markdown or json", flag_values=FLAGS)

NOTE = (
    "KC = log10(1 + parameters / (accuracy * 10^6 + 10^-8)), equation 3, trainable parameters and top-1 as a "
    "fraction.\nprinted: BNext, Table 8; student: held-out top-1 of BNext-T taught by it, there."
)
ROUNDED = 0.0005  # half a unit of the printed digits
COUNTED, QUOTED = "counted", "published"


@dataclasses.dataclass(frozen=True)
class Row:
    """A teacher.

    Args:
        name: as --teacher takes it.
        params: trainable parameters.
        source: of `params`: "counted" in the real network, or "published" and where.
        accuracy: top-1 on held-out images, a fraction, if known.
        complexity: knowledge complexity, if the accuracy is known.
        printed: the complexity that the paper prints.
        student: top-1 of BNext-T taught by it, a fraction.
    """

    name: str
    params: int
    source: str
    accuracy: float | None
    complexity: float | None
    printed: float | None = None
    student: float | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """The command; gives its exit status."""
    return cli.run(run, FLAGS, __doc__, argv)


def run(values: flags.FlagValues, positional: list[str]) -> None:
    if values.format not in FORMATS:
        raise one_of("format", values.format, FORMATS)
    if values.student is not None:
        cli.no_more(positional)
        print(_recommended(values.student, values.format), end="")
        return
    rows = [_published(name) for name in published.TABLE_8] + [_own(path) for path in positional]
    print(FORMATS[values.format](rows), end="")


def _published(name: str) -> Row:
    row = published.TABLE_8[name]
    params, source = (row.params, f"{QUOTED}, {row.source}") if row.params else (_count(name), COUNTED)
    complexity = knowledge_complexity(params, row.accuracy)
    return Row(name, params, source, row.accuracy, complexity, row.complexity, row.student_test)


def _count(name: str) -> int:
    """Of a network built for ImageNet, with whatever weights."""
    import tensorflow as tf

    import zoo

    build = applications.build if applications.known(name) else None
    network = zoo.build(name) if build is None else build(name, 224, None)
    params = trainable_parameters(network)
    tf.keras.backend.clear_session()
    return params


def _own(path: str) -> Row:
    teacher: Teacher = sources.read_trained(path)
    return Row(path, teacher.params, COUNTED, teacher.accuracy, teacher.complexity)


def recommend(student: str) -> recommendation.Recommendation:
    """The teachers for a network of the zoo.

    Raises:
        UserError: there is no such network.
    """
    import zoo

    if student not in zoo.list_models():
        raise one_of("student", student, zoo.list_models())
    return recommendation.recommend(student, accounting.profile(zoo.build(student)).size_mib)


def _recommended(student: str, form: str) -> str:
    found = recommend(student)
    if form == "json":
        return (
            json.dumps({"student": student, **dataclasses.asdict(found), "flags": found.flags}, indent=1)
            + "\n"
        )
    lines = (f"{student}: {found.flags}", found.reason)
    return "\n".join(lines) + "\n"


HEADINGS = ("teacher", "parameters", "source", "top-1", "KC", "printed", "student")
ALIGNED = ("left", "right", "left", "right", "right", "right", "right")


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        f"{row.params:,}",
        row.source,
        _percent(row.accuracy),
        "" if row.complexity is None else f"{row.complexity:.3f}",
        "" if row.printed is None else f"{row.printed:.3f}",
        _percent(row.student),
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"


def _text(rows: Sequence[Row]) -> str:
    return _with_notes(rows, "simple")


def _markdown(rows: Sequence[Row]) -> str:
    return _with_notes(rows, "pipe")


def _with_notes(rows: Sequence[Row], form: str) -> str:
    notes = [
        f"{row.name}: {row.complexity:.5f}, where the paper prints {row.printed:.3f}."
        for row in rows
        if row.complexity and row.printed and abs(row.complexity - row.printed) > ROUNDED
    ]
    cells = [_cells(row) for row in rows]
    table = tabulate(cells, HEADINGS, form, disable_numparse=True, colalign=ALIGNED)
    return "\n".join([table, "", NOTE, *notes]) + "\n"


def _json(rows: Sequence[Row]) -> str:
    return json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n"


FORMATS = {"text": _text, "markdown": _markdown, "json": _json}

if __name__ == "__main__":
    sys.exit(main())

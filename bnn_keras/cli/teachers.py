"""List teachers for knowledge distillation, or recommend some.

bnn teachers [RUN ...] [--format=text|markdown|json]
bnn teachers --student=MODEL

Lists the teachers of BNext's Table 8, and the run folders and .keras files that are named, with their
parameters, accuracy and knowledge complexity; or recommends teachers for a student.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import Flag
from bnn_keras.errors import one_of
from bnn_keras.settings.kinds import Choice, Text

if TYPE_CHECKING:
    from bnn_keras.papers.recommendation import Recommendation

FLAGS = [
    Flag("student", Text("a name of the zoo"), "recommend teachers for this network"),
    Flag("format", Choice(("text", "markdown", "json")), "of what is printed", "text"),
]
NOTE = (
    "KC = log10(1 + parameters / (accuracy * 10^6 + 10^-8)), equation 3, trainable parameters and top-1 as a "
    "fraction.\nprinted: BNext, Table 8; student: held-out top-1 of BNext-T taught by it, there."
)
ROUNDED = 0.0005  # half a unit of the printed digits
COUNTED, QUOTED = "counted", "published"
HEADINGS = ("teacher", "parameters", "source", "top-1", "KC", "printed", "student")
ALIGNED = ("left", "right", "left", "right", "right", "right", "right")


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


def run(values: FlagValues, positional: list[str]) -> None:
    """Print the teachers."""
    from bnn_keras.papers.teachers import TABLE_8

    if values.student is not None:
        flags.no_more(positional)
        print(_recommended(values.student, values.format))
        return
    own = [_own(path) for path in positional]  # first, as a path may be wrong
    print(_listed([*map(_published, TABLE_8), *own], values.format))


def _published(name: str) -> Row:
    from bnn_keras.papers.teachers import TABLE_8, knowledge_complexity

    row = TABLE_8[name]
    params, source = (row.params, f"{QUOTED}, {row.source}") if row.params else (_count(name), COUNTED)
    complexity = knowledge_complexity(params, row.accuracy)
    return Row(name, params, source, row.accuracy, complexity, row.complexity, row.student_test)


def _count(name: str) -> int:
    """The parameters of a network that is built for ImageNet, with any weights."""
    import tensorflow as tf

    import zoo
    from bnn_keras.distillation import applications
    from bnn_keras.distillation.teacher import trainable_parameters

    network = applications.build(name, 224, None) if applications.known(name) else zoo.build(name)
    params = trainable_parameters(network)
    tf.keras.backend.clear_session()
    return params


def _own(path: str) -> Row:
    from bnn_keras.distillation import sources

    teacher = sources.read_trained(path)
    return Row(path, teacher.params, COUNTED, teacher.accuracy, teacher.complexity)


def recommend(student: str) -> "Recommendation":
    """The teachers for a network of the zoo.

    Raises:
        UserError: there is no such network.
    """
    import zoo
    from bnn_keras import accounting
    from bnn_keras.papers import recommendation

    if student not in zoo.list_models():
        raise one_of("student", student, zoo.list_models())
    return recommendation.recommend(student, accounting.profile(zoo.build(student)).size_mib)


def _recommended(student: str, form: str) -> str:
    found = recommend(student)
    if form == "json":
        return json.dumps({"student": student, **dataclasses.asdict(found), "flags": found.flags}, indent=1)
    return f"{student}: {found.flags}\n{found.reason}"


def _listed(rows: Sequence[Row], form: str) -> str:
    from tabulate import tabulate

    if form == "json":
        return json.dumps([dataclasses.asdict(row) for row in rows], indent=1)
    cells = [_cells(row) for row in rows]
    grid = "pipe" if form == "markdown" else "simple"
    notes = [
        f"{row.name}: {row.complexity:.5f}, where the paper prints {row.printed:.3f}."
        for row in rows
        if row.complexity and row.printed and abs(row.complexity - row.printed) > ROUNDED
    ]
    return "\n".join(
        [tabulate(cells, HEADINGS, grid, disable_numparse=True, colalign=ALIGNED), "", NOTE, *notes]
    )


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

"""Which teachers a student should have (BNext, sections 4.1 and 7.3, Table 9).

The paper gives its five students' teachers and the reasons: teachers of low knowledge complexity
first, a more accurate one only for a student with the capacity to follow it, and a group of
assistants that rises in accuracy and complexity up to it.

Another student gets those of the smallest BNext that is at least as large as itself, in MiB: it has
no more capacity than that one, and every step of Table 9 to a larger student is a step to a more
accurate and more complex teacher. Beyond BNext-L it gets BNext-L's. (BNext-18 had one teacher for the
sake of a fair comparison, says section 7.3, so it is no measure for others.)
"""

import dataclasses

from bnn_keras.papers.teachers import TABLE_9, Selection

# MiB, all parameters (sections 5.1 and 5.2).
SIZES = {"bnext_t": 13.3, "bnext_s": 26.7, "bnext_m": 46.5, "bnext_l": 106.1}


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """Teachers for a student.

    Args:
        selection: the teachers.
        reason: a sentence.
    """

    selection: Selection
    reason: str

    @property
    def flags(self) -> str:
        """What train.py takes."""
        assistants = ",".join(self.selection.assistants)
        return f"--teacher={self.selection.teacher}" + (f" --assistants={assistants}" if assistants else "")


def recommend(student: str, size_mib: float) -> Recommendation:
    """The teachers for a student.

    Args:
        student: its name.
        size_mib: its size, binary weights as bits.
    """
    if student in TABLE_9:
        return Recommendation(TABLE_9[student], f"Table 9 names them for {student}.")
    for other, size in SIZES.items():
        if size_mib <= size:
            return Recommendation(
                TABLE_9[other],
                f"{student} has {size_mib:.1f} MiB, no more than {other} with its {size} MiB: Table 9's "
                f"teachers for {other}, of the lowest knowledge complexity that goes with this capacity.",
            )
    largest, size = list(SIZES.items())[-1]
    return Recommendation(
        TABLE_9[largest],
        f"{student} has {size_mib:.1f} MiB, more than {largest} with its {size} MiB: Table 9's teachers for "
        f"{largest}, the most accurate ones that it names.",
    )

"""Which teachers a student should have (BNext, sections 4.1 and 7.3, Table 9).

The paper names the teachers of its five students and gives the reasons: teachers of low knowledge
complexity come first; a more accurate teacher is only for a student with the capacity to follow it;
assistants rise in accuracy and complexity up to the teacher.

Another student gets the teachers of the smallest BNext that is at least as large as itself, in MiB: its
capacity is no larger, and with each larger student of Table 9 the teacher is more accurate and more
complex. A student larger than BNext-L gets the teachers of BNext-L. (BNext-18 has only one teacher to
keep a comparison fair, says section 7.3: it is not used for other students.)
"""

import dataclasses

from bnn_keras.papers.teachers import TABLE_9, Selection

# Sizes in MiB, all parameters (sections 5.1 and 5.2).
SIZES = {"bnext_t": 13.3, "bnext_s": 26.7, "bnext_m": 46.5, "bnext_l": 106.1}


@dataclasses.dataclass(frozen=True)
class Recommendation:
    """Teachers for a student.

    Args:
        selection: which ones.
        reason: why, a sentence.
    """

    selection: Selection
    reason: str

    @property
    def flags(self) -> str:
        """The flags of train.py for these teachers."""
        assistants = ",".join(self.selection.assistants)
        return f"--teacher={self.selection.teacher}" + (f" --assistants={assistants}" if assistants else "")


def recommend(student: str, size_mib: float) -> Recommendation:
    """Choose the teachers for a student.

    Args:
        student: name of the network.
        size_mib: its size in MiB, with one bit for each binary weight.
    """
    if student in TABLE_9:
        return Recommendation(TABLE_9[student], f"Table 9 names them for {student}.")
    for other, size in SIZES.items():
        if size_mib <= size:
            return Recommendation(
                TABLE_9[other],
                f"{student} has {size_mib:.1f} MiB, no more than {other} with its {size} MiB: these are the "
                f"teachers of {other} in Table 9, whose knowledge complexity fits this capacity.",
            )
    largest, size = list(SIZES.items())[-1]
    return Recommendation(
        TABLE_9[largest],
        f"{student} has {size_mib:.1f} MiB, more than {largest} with its {size} MiB: these are the teachers "
        f"of {largest}, the most accurate ones in Table 9.",
    )

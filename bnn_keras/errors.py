"""The one exception for mistakes of the user."""

import difflib
from collections.abc import Iterable

NEAREST = 3  # names that are offered at most for one that is misspelled


class UserError(ValueError):
    """A mistake of the user: one sentence that says what was received and what is valid.

    The commands catch it in one place (`bnn_keras.cli`), print the sentence and exit with status 2.
    Any other exception is a defect of ours and shows its trace.
    """


def one_of(what: str, received: object, valid: Iterable[object]) -> UserError:
    """The error for a name that is not in a list of names: it offers similar names, or lists all."""
    names = list(map(str, valid))
    advice = did_you_mean(str(received), names) or f"valid: {', '.join(names)}."
    return UserError(f"Unknown {what} {received!r}; {advice}")


def did_you_mean(received: str, valid: Iterable[str], prefix: str = "") -> str:
    """The end of a sentence that offers the names most similar to a misspelled one.

    Args:
        received: the name that is not valid.
        valid: the names that are.
        prefix: is put before the offered names, as the dashes of a flag.

    Returns:
        "did you mean NAME?", with up to `NEAREST` names, the most similar first; empty if none is similar.
    """
    by_spelling = {name.casefold(): f"{prefix}{name}" for name in valid}
    near = difflib.get_close_matches(received.casefold(), by_spelling, NEAREST)
    *others, last = [by_spelling[spelling] for spelling in near] or [""]
    names = f"{', '.join(others)} or {last}" if others else last
    return f"did you mean {names}?" if names else ""

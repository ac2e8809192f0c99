"""The one exception for mistakes of the user."""

from collections.abc import Iterable


class UserError(ValueError):
    """A mistake of the user: one sentence that says what was received and what is valid.

    The commands catch it in one place (`bnn_keras.cli`), print the sentence and exit with status 2.
    Any other exception is a defect of ours and shows its trace.
    """


def one_of(what: str, received: object, valid: Iterable[object]) -> UserError:
    """The error for a name that is not in a list of names."""
    return UserError(f"Unknown {what} {received!r}; valid: {', '.join(map(str, valid))}.")

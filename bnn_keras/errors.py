"""The one exception that is the user's to mend."""

from collections.abc import Iterable


class UserError(ValueError):
    """A mistake of the user's: one sentence with what was received and what is valid.

    The command line catches it in one place (`bnn_keras.cli`), prints the sentence and exits with
    status 2. Any other exception is a bug of ours and shows its trace.
    """


def one_of(what: str, received: object, valid: Iterable[object]) -> UserError:
    """The error for a name that is not in a list of names."""
    return UserError(f"Unknown {what} {received!r}; valid: {', '.join(map(str, valid))}.")

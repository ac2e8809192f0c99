"""Help that fits a terminal of 80 columns."""

import textwrap

WIDTH = 80
PROGRAM = "bnn "  # begins an example of a command


def entry(name: str, text: str) -> str:
    """A name, padded to its column, and its explanation in the column beside it."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"  {name}  ",
        subsequent_indent=" " * (len(name) + 4),
        break_on_hyphens=False,
    )


def prose(docstring: str) -> str:
    """A docstring whose paragraphs are filled anew; commands keep their lines."""
    paragraphs = docstring.strip().split("\n\n")
    return "\n\n".join(
        paragraph
        if paragraph.startswith(PROGRAM)
        else textwrap.fill(paragraph, WIDTH, break_on_hyphens=False)
        for paragraph in paragraphs
    )

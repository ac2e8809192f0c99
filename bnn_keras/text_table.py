"""Tables of text: aligned for a terminal, or as Markdown."""

from collections.abc import Collection, Sequence

Rows = Sequence[Sequence[str]]


def aligned(headings: Sequence[str], rows: Rows, left: Collection[int] = (0,)) -> str:
    """Columns side by side, those with a number in `left` flush left, the others flush right."""
    lines = [list(headings), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]

    def line(cells: Sequence[str]) -> str:
        parts = (
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(parts).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(headings), rule, *map(line, rows)])


def markdown(headings: Sequence[str], rows: Rows, left: Collection[int] = (0,)) -> str:
    """The same as Markdown."""
    rule = ["---" if i in left else "--:" for i in range(len(headings))]
    return "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in (headings, rule, *rows))


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|")

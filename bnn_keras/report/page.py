"""Parts of a page in HTML that needs no other file. All text is escaped here."""

import base64
import html
import json
from collections.abc import Collection, Iterable, Sequence

from bnn_keras.report import charts
from bnn_keras.report.charts import Panel
from bnn_keras.report.style import STYLE

# Even text that is not escaped by mistake cannot load or run anything.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{sentence}</p>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def page(title: str, sentence: str, parts: Iterable[str]) -> str:
    """A whole page.

    Args:
        title, sentence: text, for the head of the page.
        parts: HTML, from the functions below.
    """
    return PAGE.format(
        title=escaped(title),
        sentence=escaped(sentence),
        style=STYLE,
        policy=escaped(POLICY),
        body="\n".join(parts),
    )


def escaped(text: object) -> str:
    """Text as HTML, also valid in attributes."""
    return html.escape(str(text), quote=True)


def section(title: str, *parts: str) -> str:
    """A section with a heading; parts are HTML, and empty ones are left out."""
    return f"<section>\n<h2>{escaped(title)}</h2>\n" + "\n".join(filter(None, parts)) + "\n</section>"


def paragraph(text: str) -> str:
    """A paragraph of text."""
    return f"<p>{escaped(text)}</p>"


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """The most important numbers with their names, in large type."""
    items = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def table(
    headings: Sequence[object],
    rows: Iterable[Sequence[object]],
    left: Collection[int] = (0,),
    caption: str = "",
) -> str:
    """A table, which scrolls by itself if it is too wide.

    Args:
        headings: of the columns.
        rows: of cells, as many as there are headings.
        left: the columns that are aligned left; the others are aligned right.
        caption: above the table.
    """

    def line(cells: Sequence[object], tag: str) -> str:
        kinds = ["" if i in left else ' class="number"' for i in range(len(cells))]
        return "".join(
            f"<{tag}{kind}>{escaped(cell)}</{tag.split()[0]}>"
            for kind, cell in zip(kinds, cells, strict=True)
        )

    head = line(headings, 'th scope="col"')
    body = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    title = f"<caption>{escaped(caption)}</caption>" if caption else ""
    label = escaped(caption or ", ".join(map(str, headings)))
    return (
        f'<div class="wide" role="region" aria-label="{label}" tabindex="0"><table>{title}'
        f"<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def setting_text(value: object) -> str:
    """The value of a setting as text, as config.json has it."""
    return value if isinstance(value, str) else json.dumps(value)


def folded(summary: str, *parts: str) -> str:
    """Parts that are shown when the reader clicks on the summary."""
    return f"<details><summary>{escaped(summary)}</summary>\n" + "\n".join(parts) + "\n</details>"


def figures(shown: Iterable[Panel]) -> str:
    """Charts side by side, each drawn for a light and for a dark page; "" if there are none."""
    shown = list(shown)
    return "" if not shown else '<div class="charts">\n' + "\n".join(map(_figure, shown)) + "\n</div>"


def _figure(chart: Panel) -> str:
    light, dark = (data_url(charts.svg(chart, theme), "svg+xml") for theme in (charts.LIGHT, charts.DARK))
    return (
        f'<picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{escaped(chart.description())}"></picture>'
    )


def picture(png: bytes, alt: str) -> str:
    """A picture, which the page makes narrower if necessary.

    Args:
        png: the content of the file.
        alt: what it shows, in words.
    """
    return f'<img class="drawing" src="{data_url(png, "png")}" alt="{escaped(alt)}">'


def data_url(content: bytes, kind: str) -> str:
    """An image file as a URL."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

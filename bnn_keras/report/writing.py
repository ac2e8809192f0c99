"""The report of a run: pictures, and a page with everything."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from bnn_keras import accounting, files, weights
from bnn_keras.data import Dataset
from bnn_keras.report import charts, constants, device, flip_charts, page
from bnn_keras.report.charts import Chart
from bnn_keras.report.curves import assistant_switches, authors_curve, history_charts
from bnn_keras.report.samples import THUMBNAIL, Sample, classify_samples
from bnn_keras.runs import RunFolder, Table
from bnn_keras.runs.config import RunConfig
from bnn_keras.runs.quantization import Quantization
from bnn_keras.runs.table import PERCENTILES

FLIP_COLUMNS = ("kernel", "weights", "stable", "mean", *(f"p{p}" for p in PERCENTILES))
SEPARATE = ("recipe", "search", "environment")  # settings in tables of their own
COLUMNS = 2  # charts in a row of a picture


def write(
    folder: RunFolder, sentence: str, dataset: Dataset | None = None, output: Path | None = None
) -> None:
    """Draw a run's tables and write its page.

    Args:
        folder: of a run with history.csv, flips.csv and a best model.
        sentence: what the run has reached.
        dataset: that it was trained on; the page then shows predictions for some held-out images.
        output: the page; report.html in the run folder if not given.

    Raises:
        UserError: the folder is not a run folder, or cannot be written.
    """
    config = folder.read_config()
    history, flips = Table(folder.history, ()), Table(folder.flips, ())
    curves = constants.separate(history_charts(history, config))
    shares = constants.separate([flip_charts.share_chart(flips)] if flips.rows else [])
    percentiles = constants.separate_lines(flip_charts.percentile_charts(flips))
    _write_picture(folder.pictures / "curves.png", _rows(curves[0]), curves[1])
    _write_picture(
        folder.pictures / "flips.png",
        [*_rows(shares[0]), *_rows(percentiles[0])],
        [*shares[1], *percentiles[1]],
    )
    model = weights.read_model(folder.best_model)
    profile = accounting.profile(model)
    parts = [
        page.facts(_facts(history, profile)),
        _cells(folder) if folder.cells.is_file() else "",
        _curves(*curves, config),
        _flips(shares, percentiles, flips) if flips.rows else "",
        _samples(classify_samples(model, dataset)) if dataset else "",
        _accounting(profile),
        _quantization(folder) if folder.quantization.is_file() else "",
        device.section(folder.path),
        _settings(config),
        page.section("Epochs", page.folded("every epoch", _epochs(history))),
    ]
    title = f"{config.model} on {config.dataset}"
    files.write_text(output or folder.report, page.page(title, sentence, filter(None, parts)))


def _rows(shown: Sequence[Chart]) -> list[Sequence[Chart]]:
    return [shown[i : i + COLUMNS] for i in range(0, len(shown), COLUMNS)]


def _write_picture(path: Path, rows: Sequence[Sequence[Chart]], sentences: Sequence[str]) -> None:
    """Write charts as a PNG file, if there are any."""
    if rows:
        with files.replacing(path) as temporary:
            temporary.write_bytes(charts.png(rows, sentences))


def _facts(history: Table, profile: accounting.Profile) -> Iterable[tuple[str, str]]:
    accuracy = history.column("val_accuracy")
    return [
        ("best held-out accuracy", f"{100 * max(accuracy):.2f} %"),
        ("epochs", f"{len(accuracy)}"),
        ("training time", _duration(sum(history.column("seconds")))),
        ("parameters", f"{profile.params:,}"),
        ("of them binary", f"{100 * profile.binary_params / max(profile.params, 1):.1f} %"),
        ("size", f"{profile.size_mib:.2f} MiB"),
        ("OPs", _scientific(profile.ops)),
    ]


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    )


def _curves(shown: list[Chart], sentences: list[str], config: RunConfig) -> str:
    notes = []
    if authors_curve(config) is not None:
        notes.append("The authors' lines show their own run on ImageNet, from their released logs.")
    if assistant_switches(config):
        notes.append("Dotted lines: the epochs from which another assistant taught.")
    return page.section(
        "Curves", *map(page.paragraph, notes), page.figures(shown), *map(page.paragraph, sentences)
    )


def _cells(folder: RunFolder) -> str:
    return page.section(
        "Cells",
        page.paragraph(
            "The best cells that the search has found, and the operation on each edge. A node is the sum of "
            "its two edges, and the output has the channels of all nodes. The red line is the output of the "
            "cell before, which is added to it."
        ),
        page.picture(folder.cells.read_bytes(), "The cells as graphs"),
    )


def _flips(
    shares: tuple[list[Chart], list[str]], percentiles: tuple[list[Chart], list[str]], table: Table
) -> str:
    last = [row for row in table.rows if row["epoch"] == table.rows[-1]["epoch"]]
    rows = [[_short(row[column]) for column in FLIP_COLUMNS] for row in last]
    return page.section(
        "Flips of binary weights",
        page.paragraph(flip_charts.EXPLANATION),
        page.figures(shares[0]),
        *map(page.paragraph, shares[1]),
        page.paragraph(
            "How often a weight changed its sign from one batch to the next, summed over an epoch: "
            "percentiles over the weights of a kernel (MeliusNet, supplement, Figure 4). A weight is stable "
            "in an epoch in which it did not flip."
        ),
        page.figures(percentiles[0]),
        *map(page.paragraph, percentiles[1]),
        page.folded(f"every kernel in epoch {table.rows[-1]['epoch']}", page.table(FLIP_COLUMNS, rows)),
    )


def _samples(shown: list[Sample]) -> str:
    right = sum(sample.right for sample in shown)
    return page.section(
        "Sample predictions",
        page.paragraph(
            f"Predictions of the best weights for {len(shown)} held-out images, {right} of them right: the "
            f"predicted class with its probability, and below it the true class if that is another."
        ),
        '<div class="samples">\n' + "\n".join(map(_sample, shown)) + "\n</div>",
    )


def _sample(sample: Sample) -> str:
    answer = f"{sample.predicted} {100 * sample.probability:.0f}\N{NO-BREAK SPACE}%"
    truth = "" if sample.right else f"<span>is {page.escaped(sample.truth)}</span>"
    mark, word = ("✓", "right") if sample.right else ("✗", "wrong")
    pixels = ' class="pixels"' if sample.size < THUMBNAIL else ""
    alt = page.escaped(f"Held-out image of class {sample.truth}")
    return (
        f'<figure><img{pixels} src="{page.data_url(sample.png, "png")}" alt="{alt}">'
        f'<figcaption><span class="{word}">{mark} {page.escaped(answer)}</span>{truth}</figcaption></figure>'
    )


def _accounting(profile: accounting.Profile) -> str:
    stages = {
        row.stage: [other for other in profile.rows if other.stage == row.stage] for row in profile.rows
    }
    sums = {name: _sums(rows) for name, rows in {**stages, "all": profile.rows}.items()}
    return page.section(
        "Size and operations",
        page.paragraph(
            f"{profile.size_mib:.2f} MiB: one bit for each binary weight, four bytes for each other weight. "
            f"{_scientific(profile.ops)} operations (OPs): {profile.flops:,} multiply-accumulates of 32-bit "
            f"convolutions (FLOPs) and {profile.bops:,} of binary ones (BOPs), 64 of which count as one."
        ),
        page.table(
            ("stage", "parameters", "binary", "KiB", "BOPs", "FLOPs"),
            [
                (name, f"{params:,}", f"{binary:,}", f"{bits / 8 / 1024:,.1f}", f"{bops:,}", f"{flops:,}")
                for name, (params, binary, bits, bops, flops) in sums.items()
                if params or bops or flops
            ],
        ),
        *(page.paragraph(f"{row.path}: {row.note}") for row in profile.notes),
    )


def _quantization(folder: RunFolder) -> str:
    found = Quantization.read(folder.quantization)
    return page.section("Fewer bits", page.paragraph(found.explanation), page.table(*found.table()))


def _sums(rows: Sequence[accounting.Row]) -> list[int]:
    columns = ("params", "binary_params", "bits", "bops", "flops")
    return [sum(getattr(row, column) for row in rows) for column in columns]


def _scientific(number: float) -> str:
    return f"{number:.2e}".replace("e+0", "e").replace("e+", "e")


def _settings(config: RunConfig) -> str:
    run = {key: value for key, value in config.to_dict().items() if key not in SEPARATE}
    return page.section(
        "Settings",
        _pairs("Recipe", dataclasses.asdict(config.recipe.effective(config.kind))),
        _pairs("Run", run),
        _pairs("Search", dataclasses.asdict(config.search)) if config.search else "",
        _pairs("From an image to the input", dataclasses.asdict(config.preprocessing)),
        page.folded("versions", _pairs("Environment", config.environment or {})),
    )


def _pairs(title: str, settings: dict) -> str:
    rows = [[key, page.setting_text(value)] for key, value in settings.items()]
    return page.table(("setting", "value"), rows, left=(0, 1), caption=title)


def _epochs(history: Table) -> str:
    return page.table(list(history.rows[0]), [[_short(v) for v in row.values()] for row in history.rows])


def _short(text: str) -> str:
    """A cell of a table: decimal numbers with four digits; whole numbers and names are left as they are."""
    return f"{float(text):.4g}" if "." in text and text.replace(".", "", 1).isdigit() else text

"""The report of a run: pictures, and one page with everything."""

import json
from collections.abc import Iterable, Sequence

from bnn_keras import accounting, files, weights
from bnn_keras.data import Dataset
from bnn_keras.report import charts, curves, flip_charts, page, samples
from bnn_keras.report.samples import Sample
from bnn_keras.runs import RunFolder, Table

FLIP_COLUMNS = ("kernel", "weights", "stable", "mean", "p50", "p75", "p90", "p95", "p99", "p100")
# In sections of their own.
APART = ("recipe", "environment")


def write(folder: RunFolder, sentence: str, dataset: Dataset | None = None) -> None:
    """Draw the run's tables and write its page.

    Args:
        folder: of a run with history.csv, flips.csv and a best model.
        sentence: what was reached.
        dataset: that it was trained on; the page then has predictions for some held-out images.
    """
    config = folder.read_config().to_dict()
    history, flip_table = Table(folder.history, ()), Table(folder.flips, ())
    drawn = {"curves": curves.of(history, config), "flips": flip_charts.of(flip_table)}
    for name, panels in drawn.items():
        if panels:
            with files.replacing(folder.pictures / f"{name}.png") as temporary:
                temporary.write_bytes(charts.png([panels]))
    model = weights.read_model(folder.best_model)
    profile = accounting.profile(model)
    parts = [
        page.facts(_facts(history, profile)),
        _curves(drawn["curves"], config),
        _flips(drawn["flips"], flip_table),
        _samples(samples.of(model, dataset)) if dataset else "",
        _accounting(profile),
        _settings(config),
        page.section("Epochs", page.folded("every epoch", _epochs(history))),
    ]
    title = f"{config.get('model', profile.name)} on {config['dataset']}"
    files.write_text(folder.report, page.page(title, sentence, filter(None, parts)))


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


def _curves(drawn: list[charts.Chart], config: dict) -> str:
    said = []
    if curves.authors_curve(config) is not None:
        said.append("The authors' lines are their own run on ImageNet, from their released logs.")
    if curves.assistant_switches(config):
        said.append("Dotted lines: the epochs from which another assistant taught.")
    return page.section("Curves", *map(page.paragraph, said), page.figures(drawn))


def _flips(drawn: list[charts.Chart], table: Table) -> str:
    if not drawn:
        return ""
    last = [row for row in table.rows if row["epoch"] == table.rows[-1]["epoch"]]
    rows = [[_short(row[column]) for column in FLIP_COLUMNS] for row in last]
    return page.section(
        "Flips of binary weights",
        page.paragraph(
            "How often a weight changed its sign between batches, summed over an epoch: percentiles over "
            "the weights of a kernel (MeliusNet, supplement, Figure 4). A weight is stable in an epoch "
            "without a flip."
        ),
        page.figures(drawn),
        page.folded(f"every kernel in epoch {table.rows[-1]['epoch']}", page.table(FLIP_COLUMNS, rows)),
    )


def _samples(shown: list[Sample]) -> str:
    right = sum(sample.right for sample in shown)
    return page.section(
        "Sample predictions",
        page.paragraph(
            f"The best weights on {len(shown)} held-out images, {right} of them right: the predicted class "
            f"with its probability, below it the true class where it is another."
        ),
        '<div class="samples">\n' + "\n".join(map(_sample, shown)) + "\n</div>",
    )


def _sample(sample: Sample) -> str:
    answer = f"{sample.predicted} {100 * sample.probability:.0f}\N{NO-BREAK SPACE}%"
    truth = "" if sample.right else f"<span>is {page.escaped(sample.truth)}</span>"
    mark, word = ("✓", "right") if sample.right else ("✗", "wrong")
    pixels = ' class="pixels"' if sample.size < samples.THUMBNAIL else ""
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
            f"{profile.size_mib:.2f} MiB: one bit for each binary weight, four bytes for each other. "
            f"{_scientific(profile.ops)} operations (OPs): {profile.flops:,} multiply-accumulates of 32-bit "
            f"convolutions (FLOPs) and {profile.bops:,} binary ones (BOPs), 64 of which count as one."
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


def _sums(rows: Sequence[accounting.Row]) -> list[int]:
    columns = ("params", "binary_params", "bits", "bops", "flops")
    return [sum(getattr(row, column) for row in rows) for column in columns]


def _scientific(number: float) -> str:
    return f"{number:.2e}".replace("e+0", "e").replace("e+", "e")


def _settings(config: dict) -> str:
    own = {key: value for key, value in config.items() if key not in APART}
    return page.section(
        "Settings",
        _pairs("Recipe", config.get("recipe", {})),
        _pairs("Run", own),
        page.folded("versions", _pairs("Environment", config.get("environment", {}))),
    )


def _pairs(title: str, settings: dict) -> str:
    rows = [[key, v if isinstance(v, str) else json.dumps(v)] for key, v in settings.items()]
    return page.table(("setting", "value"), rows, left=(0, 1), caption=title)


def _epochs(history: Table) -> str:
    return page.table(list(history.rows[0]), [[_short(v) for v in row.values()] for row in history.rows])


def _short(text: str) -> str:
    """A cell of a table: numbers to four digits, whole ones and names as they are."""
    return f"{float(text):.4g}" if "." in text and text.replace(".", "", 1).isdigit() else text

"""The charts of a run's history: accuracy, loss, rate, temperature, and what else was measured."""

from bnn_keras.papers import published
from bnn_keras.report.charts import Chart, Line
from bnn_keras.runs import Table

# Set by the recipe: a line each, and nothing held out.
SETTINGS = {"learning_rate": "Learning rate", "temperature": "Temperature of the kernels"}
TITLES = {"accuracy": "Accuracy", "top5": "Top-5 accuracy", "loss": "Loss", **SETTINGS}
FIRST = ("accuracy", "loss", *SETTINGS)
PUBLISHED_ON = "imagenet2012"
HIDDEN = ("epoch", "seconds")
HELD_OUT = "val_"
PUBLISHED = {"accuracy": "top1", "top5": "top5"}  # a run's names, and the columns of the authors' curves


def of(history: Table, config: dict) -> list[Chart]:
    """A chart for each measured value, the training's and the held-out one together.

    Args:
        history: of a run.
        config: of the run; on ImageNet the authors' curve of the same network is drawn too.
    """
    if not history.rows:
        return []
    columns = [name for name in history.rows[0] if name not in HIDDEN]
    names = dict.fromkeys(name.removeprefix(HELD_OUT) for name in columns)
    ordered = [name for name in FIRST if name in names] + [name for name in names if name not in FIRST]
    authors = authors_curve(config)
    switches = assistant_switches(config)
    return [
        Chart(TITLES.get(name) or name, _lines(history, name, authors), marks=switches) for name in ordered
    ]


def assistant_switches(config: dict) -> list[int]:
    """The epochs that began with another assistant teacher (BNext, algorithm 1)."""
    return (config.get("distillation") or {}).get("assistant_switches", [])


def authors_curve(config: dict) -> dict | None:
    """The published curve of the run's network (`bnn_keras.papers.published.curve`), if there is one."""
    stem = (config.get("overrides") or {}).get("stem", "grouped")
    model = config.get("model", "")
    if config["dataset"] != PUBLISHED_ON or (model, stem) not in published.curves():
        return None
    return published.curve(model, stem)


def _lines(history: Table, name: str, authors: dict | None) -> list[Line]:
    epochs = history.column("epoch")
    present = [column for column in (name, HELD_OUT + name) if column in history.rows[0]]
    labels = {name: ("", "-") if name in SETTINGS else ("training", "--"), HELD_OUT + name: ("held-out", "-")}
    lines = [Line(labels[column][0], epochs, history.column(column), labels[column][1]) for column in present]
    if authors is not None and name in PUBLISHED:
        column = PUBLISHED[name]
        lines += [
            Line(f"authors, {label}", authors["epoch"], authors[f"{part}_{column}"], style, color=1)
            for part, label, style in (("train", "training", ":"), ("val", "held-out", "-."))
        ]
    elif authors is not None and name == "learning_rate":
        lines = [
            Line("this run", lines[0].x, lines[0].y),
            Line("authors", authors["epoch"], authors[name], ":", color=1),
        ]
    return lines

"""What a run shows: scalars for TensorBoard, pictures, and one page."""

import base64
import html
import io
import json
from collections.abc import Mapping

import tensorflow as tf
from matplotlib.figure import Figure

from bnn_keras import files, flips
from bnn_keras.run_folder import RunFolder, Table

SHOWN_KERNELS = 2  # the first and the last, as in the paper's figure

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
td, th {{ padding: 0.2em 1em 0.2em 0; text-align: left }}
img {{ max-width: 100% }}
</style>
<h1>{title}</h1>
<p>{sentence}</p>
<h2>Accuracy and loss</h2>
<img alt="Accuracy, loss and learning rate over the epochs" src="{curves}">
<h2>Flips of binary weights</h2>
<img alt="Percentiles of the sign changes of a weight in an epoch" src="{flips}">
<h2>Epochs</h2>
{epochs}
<h2>Settings</h2>
{settings}
</html>
"""


def write_scalars(folder: RunFolder, epoch: int, scalars: Mapping[str, float]) -> None:
    """Add an epoch's numbers to what TensorBoard shows."""
    with files.writing(folder.tensorboard):
        writer = tf.summary.create_file_writer(str(folder.tensorboard))
        with writer.as_default(step=epoch):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        writer.close()


def write(folder: RunFolder, sentence: str) -> None:
    """Draw the run's tables and write its page.

    Args:
        folder: of a run with history.csv and flips.csv.
        sentence: what was reached.
    """
    history, flip_table = Table(folder.history, ()), Table(folder.flips, ())
    pictures = {"curves": _png(_curves(history)), "flips": _png(_flips(flip_table))}
    for name, png in pictures.items():
        with files.replacing(folder.pictures / f"{name}.png") as temporary:
            temporary.write_bytes(png)
    config = folder.read_config()
    page = PAGE.format(
        title=html.escape(f"{config.get('model', 'A network')} on {config['dataset']}"),
        sentence=html.escape(sentence),
        epochs=_html_table(list(history.rows[0]), [list(row.values()) for row in history.rows]),
        settings=_html_table(
            ["setting", "value"],
            [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in config.items()],
        ),
        **{name: "data:image/png;base64," + base64.b64encode(png).decode() for name, png in pictures.items()},
    )
    files.write_text(folder.report, page)


def _curves(history: Table) -> Figure:
    figure = Figure(figsize=(12, 4), layout="constrained")
    epochs = history.column("epoch")
    panels = {
        "accuracy": {"accuracy": "training", "val_accuracy": "held-out"},
        "loss": {"loss": "training", "val_loss": "held-out"},
        "learning rate": {"learning_rate": ""},
    }
    for axes, (title, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for column, label in lines.items():
            axes.plot(epochs, history.column(column), marker=".", label=label)
        axes.set(title=title, xlabel="epoch")
        if len(lines) > 1:
            axes.legend()
    return figure


def _flips(table: Table) -> Figure:
    """Percentiles of flips an epoch in the first and the last binary kernel."""
    names = list(dict.fromkeys(row["kernel"] for row in table.rows))
    shown = list(dict.fromkeys([*names[:1], *names[-1:]]))
    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, SHOWN_KERNELS), shown, strict=False):
        rows = [row for row in table.rows if row["kernel"] == name]
        for percentile in flips.PERCENTILES:
            axes.plot(
                [int(row["epoch"]) for row in rows],
                [float(row[f"p{percentile}"]) for row in rows],
                marker=".",
                label=f"{percentile}th percentile",
            )
        axes.set(title=name, xlabel="epoch", ylabel="sign changes of a weight")
        axes.legend()
    return figure


def _png(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    return data.getvalue()


def _html_table(head: list, rows: list[list]) -> str:
    lines = ["".join(f"<th>{html.escape(str(cell))}</th>" for cell in head)]
    lines += ["".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows]
    return "<table>\n" + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>"

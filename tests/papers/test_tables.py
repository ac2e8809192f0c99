"""The published tables: every run's numbers, every deviation explained, the page not stale."""

import functools
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

import zoo
from bnn_keras import accounting, cli
from bnn_keras.cli import tables
from bnn_keras.errors import UserError
from bnn_keras.papers import comparison, picture, published, text
from bnn_keras.papers.measures import METRICS
from zoo import genotype

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
RUNS = published.runs()["runs"]
# One network of each family and one of the other stem stand for the others by default.
USUAL = ("meliusnet22-grouped", "resnete18-grouped")
# Flags keep their values between calls in one process.
CHEAP = {"resnete18", "mobilenetv1_050", "meliusnet22"}


@functools.cache
def counted(model, stem):
    return tables.count(model, {"stem": stem} if stem else {})


def count(model, settings, dense=False):
    if dense or set(settings) - {"stem"}:
        return counted_with(model, json.dumps(settings, sort_keys=True), dense)
    return counted(model, settings.get("stem"))


@functools.cache
def counted_with(model, settings, dense):
    return tables.count(model, json.loads(settings), dense)


def name_of(run):
    return f"{run['model']}-{run['stem']}"


@pytest.mark.parametrize(
    "run",
    [pytest.param(run, marks=[] if name_of(run) in USUAL else [pytest.mark.large]) for run in RUNS],
    ids=name_of,
)
def test_every_published_run(run):
    found = counted(run["model"], run["stem"])
    assert (found.params, found.binary_params) == (run["params"], run["binary_params"])
    assert abs(found.size_mib - float(run["size_mib"])) < 0.01
    for metric, unit in (("bops", 1e9), ("flops", 1e8), ("ops", 1e8), ("size_mib", 1)):
        digits = len(run[metric].partition(".")[2])
        assert f"{getattr(found, metric) / unit:.{digits}f}" == run[metric]
    # The count that stands beside the variant is the one with the default stem.
    paper = next(paper for paper in zoo.registry.PAPERS if run["model"] in paper.variants)
    assert run["stem"] != "grouped" or paper.params[run["model"]] == run["params"]


def test_the_runs_are_those_of_the_reference(shared):
    theirs = json.loads((shared / "reference" / "bmxnet_runs.json").read_text())
    assert len(theirs) == len(RUNS) == 17
    for a, b in zip(theirs, RUNS, strict=True):
        assert (a["params"], a["binary_params"], a["stem"]) == (b["params"], b["binary_params"], b["stem"])
        for key, unit in (("size_mib", 1), ("bops", 1e9), ("flops", 1e8), ("ops", 1e8), ("top1", 0.01)):
            assert float(b[key]) == pytest.approx(a[key] / unit, abs=5.1e-3 if key == "top1" else 1e-9)


# The same blocks in other numbers.
@pytest.mark.parametrize("model", ["resnet18", pytest.param("resnet34", marks=pytest.mark.large)])
def test_float_resnets_have_torchvisions_parameters(model):
    assert counted(model, "conv7x7").params == zoo.resnet.PARAMS[model]


def test_mobilenets_parameters_are_those_of_keras():
    import tensorflow as tf

    theirs = tf.keras.applications.MobileNet(alpha=0.5, weights=None)
    frozen = sum(w.shape.num_elements() for w in theirs.non_trainable_weights)
    assert counted("mobilenetv1_050", None).params == theirs.count_params() - frozen


def test_the_accuracies_of_the_runs_are_the_best_of_their_curves():
    assert published.curves() == [(run["model"], run["stem"]) for run in RUNS]
    for run in RUNS:
        curve = published.curve(run["model"], run["stem"])
        epochs = 170 if run["model"] == "meliusnet59" else 120  # 20 more at a constant rate
        np.testing.assert_array_equal(curve["epoch"], np.arange(1, epochs + 1))
        best = int(curve["val_top1"].argmax())
        assert curve["val_top1"][best] * 100 == pytest.approx(float(run["top1"]), abs=0.006)
        assert best + 1 == run["best_epoch"]
        assert all(curve[key].min() > 0 and curve[key].max() < 1 for key in list(curve)[2:])


def test_curves_equal_the_reference(shared):
    lines = (shared / "reference" / "imagenet_curves.csv").read_text().splitlines()[1:]
    ours = np.concatenate(
        [
            np.stack([published.curve(*key)[c] for c in ("learning_rate", "val_top1")], 1)
            for key in published.curves()
        ]
    )
    theirs = np.array([[float(line.split(",")[i]) for i in (3, 6)] for line in lines])
    np.testing.assert_allclose(ours, theirs, atol=5.1e-6)


@pytest.mark.parametrize("ask", [published.curve, published.run])
def test_an_unpublished_run_is_refused(ask):
    with pytest.raises(
        UserError, match=r"No run of 'meliusnet42' with the stem 'conv7x7'.*resnete18/grouped"
    ):
        ask("meliusnet42", "conv7x7")
    assert len(ask("meliusnet42")) > 5


@pytest.mark.parametrize(
    ("printed", "ours", "verdict"),
    [
        ("2.08", 2.0813, "equal"),
        ("2.08", 2.0851, "truncated"),
        ("1.35", 1.3588, "truncated"),
        ("1.35", 1.3449, "differs"),
        ("1.35", 1.3601, "differs"),
        ("~4", 4.03, "equal"),
        ("9408", 9408, "equal"),
        ("9408", 9409, "differs"),
        ("2.68", None, "published only"),
    ],
)
def test_verdicts(printed, ours, verdict):
    assert comparison.Figure("ops", printed, ours).verdict == verdict


@pytest.fixture(scope="module")
def cheap():
    return comparison.compare(count, CHEAP)


def test_a_row_is_ours_or_published_only(cheap):
    table = {table.name: table for table in cheap}["MeliusNet, Table 4"]
    line = {line.label: line for line in table.lines}
    assert [f.verdict for f in line["GroupNet18, (1/1) x 5"].figures] == ["published only"] * 2
    ops = {f.metric: f for f in line["MobileNet-v1 0.5"].figures}["ops"]
    assert ops.ours == counted("mobilenetv1_050", None).ops / 1e8
    assert ops.difference == ops.ours - 1.49


def test_parts_of_a_network():
    row = dict(label="x", model="meliusnet22", settings={"stem": "grouped"})
    table = dict(name="t", title="", source="", rows=[])
    for part, metric in (
        (dict(stage="stem"), "weights"),
        (dict(kernel=[1, 1]), "flops"),
        (dict(float=True), "percent"),
    ):
        table["rows"].append({**row, "published": {metric: "1"}, "part": part})
    (found,) = comparison.compare(count, {"meliusnet22"}, [table])
    profile = counted("meliusnet22", "grouped")
    stem, transitions, share = (line.figures[0].ours for line in found.lines)
    assert stem == 3 * 3 * (3 * 32 + 32 * 32 // 4 + 32 * 64 // 8)
    assert transitions * 1e8 == 28**2 * 320 * 160 + 14**2 * 480 * 224 + 7**2 * 480 * 256
    assert share == 100 * profile.flops / profile.ops


def test_savings_are_those_of_a_network_in_32_bits():
    thin = {"input_shape": [32, 32, 3], "classes": 10, "cells": 3, "channels": 4}
    printed = {"flops_bnas": "1", "memory_saving": "1", "speed_up": "1", "cells": "3", "channels": "4"}
    row = dict(label="x", model="bnas_a", settings=thin, published=printed, dense=True)
    other = {**thin, "reduction": list(genotype.IMAGENET["reduction"])}
    table = dict(name="t", title="", source="", rows=[row, {**row, "float_settings": other}])
    (found,) = comparison.compare(count, {"bnas_a"}, [table])
    binary, float_ = (
        [row for row in count("bnas_a", settings, True).rows if "shortcut" not in row.path]
        for settings in (thin, other)
    )
    ops = sum(row.flops + row.bops / 64 for row in binary)
    for line, compared in zip(found.lines, (binary, float_), strict=True):
        ours = {figure.metric: figure.ours for figure in line.figures}
        assert (ours["cells"], ours["channels"]) == (3, 4)
        assert ours["flops_bnas"] == pytest.approx(ops / 1e8)
        assert ours["speed_up"] == pytest.approx(sum(row.flops + row.bops for row in compared) / ops)
        kernels, own = (
            [(np.prod(row.kernel_shapes[0]), row.binary_params) for row in rows if row.kernel_shapes]
            for rows in (compared, binary)
        )
        bits = sum(size * (1 if is_binary else 32) for size, is_binary in own)
        assert ours["memory_saving"] == pytest.approx(32 * sum(size for size, _ in kernels) / bits)


def on_the_page(table):
    """The rows of a table on the page, below its headings and the rule."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {table.name}: {table.title}\n")[2]
    section = section.partition("\n## ")[0]
    assert f"\nPublished in: {table.source}\n" in section
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines[2:]]


def test_the_page_has_what_the_cheap_networks_give(cheap):
    """The full page is made again in the large tests; here the rows that cost seconds."""
    for table in cheap:
        shown = on_the_page(table)
        assert [row[0] for row in shown if row[0]] == [line.label for line in table.lines]
        for line in table.lines:
            if line.model is None or line.model in CHEAP:
                for row in text.rows(comparison.Table("", "", "", (line,))):
                    assert row in shown
    page = PAGE.read_text(encoding="utf-8")
    assert text.INTRODUCTION in page
    for paper in published.papers():
        assert all(f"\n- {sentence}\n" in page for sentence in paper["misprints"])


@pytest.mark.large
def test_the_page_is_not_stale_and_every_deviation_is_explained():
    found = comparison.compare(count, zoo.list_models())
    assert text.as_markdown(found) == PAGE.read_text(encoding="utf-8")
    for table in found:
        for line in table.lines:
            for figure in line.figures:
                assert figure.verdict != comparison.DIFFERS or figure.note, (table.name, line.label, figure)


def test_no_deviation_without_a_remark_on_the_page():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    remarks = [row.rstrip(" |").split(" | ")[-1].strip() for row in rows]
    assert len(rows) > 150
    assert not [remark for remark in remarks if remark == "differs"]
    assert sum(remark.startswith("differs: ") for remark in remarks) > 10


def test_json_holds_the_unrounded_numbers(cheap):
    found = json.loads(text.as_json(cheap))
    table = {table["name"]: table for table in found["tables"]}["MeliusNet, Table 1"]
    figure = table["lines"][0]["figures"][2]
    assert figure == {
        "metric": "ops", "printed": "2.08", "ours": counted("meliusnet22", "grouped").ops / 1e8, "note": "",
        "difference": figure["ours"] - 2.08, "verdict": "equal",
    }  # fmt: skip
    assert found["misprints"] == {paper["paper"]: paper["misprints"] for paper in published.papers()}


def test_the_picture_has_our_operations_and_published_ones(cheap):
    found = picture.find_points(cheap, "ops")
    assert found["GroupNet18, (1/1) x 5"] == (2.68, 67.0, False)
    assert found["meliusnet22"] == (counted("meliusnet22", "grouped").ops / 1e8, 63.62, True)


@pytest.fixture(scope="module")
def printed():
    """Tables of other papers' networks, with the published numbers alone."""
    names = ("BNext, Table 2", "MeliusNet, Table 2", "MeliusNet, Table 3")
    return comparison.compare(count, (), [t for t in comparison.published_tables() if t["name"] in names])


def test_labels_overlap_neither_each_other_nor_points(printed):
    figure = picture.plot(printed)
    renderer = figure.canvas.get_renderer()
    assert len(figure.axes) == 2
    for axes, metric in zip(figure.axes, picture.AXES, strict=True):
        points = picture.find_points(printed, metric)
        assert {text.get_text() for text in axes.texts} == set(points) and len(points) > 40
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
        assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
        places = axes.transData.transform([(point.x, point.top1) for point in points.values()])
        assert not [1 for box in boxes for place in places if box.contains(*place)]
        assert all(axes.bbox.contains(*corner) for box in boxes for corner in box.corners())
        # Powers of ten are written as numbers, not as formulas.
        ticks = [label.get_text() for which in (False, True) for label in axes.get_xticklabels(minor=which)]
        assert any(ticks) and not any("$" in tick for tick in ticks)


def test_the_picture_has_no_empty_axes(printed):
    (table,) = [table for table in printed if table.name == "MeliusNet, Table 2"]
    assert picture.find_points([table], "ops") and not picture.find_points([table], "size_mib")
    (axes,) = picture.plot([table]).axes
    assert axes.get_xlabel() == picture.AXES["ops"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["as published"]


@pytest.fixture
def quick(monkeypatch):
    profile = counted("resnete18", "grouped")
    monkeypatch.setattr(tables, "count", lambda *_, dense=False: profile)


def test_the_command_prints_every_format_and_writes_files(quick, capsys, tmp_path):
    for form, start in (("text", "The column"), ("markdown", "# Published"), ("json", "{")):
        assert cli.run(["tables", "--only=MeliusNet, Table 4", f"--format={form}"]) == 0
        printed = capsys.readouterr().out
        assert printed.startswith(start) and "GroupNet34" in printed and "XNOR-Net" not in printed
    page, png = tmp_path / "page.txt", tmp_path / "picture.png"
    assert cli.run(["tables", f"--output={page}", f"--picture={png}"]) == 0
    assert "XNOR-Net" in page.read_text() and not capsys.readouterr().out
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format=html"], "flag --format=html: it must be one of text, markdown, json"),
        (["--only=nothing"], "Unknown table 'nothing'; valid: BNAS, Table 1"),
        (["extra"], "Unexpected argument 'extra'"),
        (["--only=Runs", "--output=/proc/no/page.md"], "Cannot write /proc/no/page.md"),
        (["--only=BNext, Code", "--picture=x.png"], "none of the chosen tables has. Received: 'BNext, Code'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes(quick, capsys, arguments, message):
    assert cli.run(["tables", *arguments]) == 2
    error = capsys.readouterr().err
    assert re.search(re.escape(message), error) and "Traceback" not in error


def test_the_count_of_a_network_is_that_of_the_image_of_224_pixels():
    thin = {"blocks": (1,), "channels": (64,)}
    assert tables.count("resnete18", thin) == accounting.profile(
        zoo.build("resnete18", (224, 224, 3), **thin)
    )


def test_bnexts_first_table_says_what_is_built():
    (table,) = (found for found in comparison.published_tables() if found["name"] == "BNext, Table 1")
    for row in table["rows"]:
        widths = zoo.bnext.VARIANTS[row["model"]]["widths"]
        # A stage is a width; the first two are the stem's and the one of the block behind it.
        blocks = [widths.count(width) for width in sorted(set(widths))[2:]]
        ratios = [number // min(blocks) for number in blocks]
        printed = [int(n) for n in row["label"].split()[-1].split(":")]
        assert ratios == [number // min(printed) for number in printed]


def test_means_and_deviations_are_taken_from_the_printed_runs():
    (table,) = comparison.compare(
        count, (), [found for found in comparison.published_tables() if found["name"] == "BNext, Table 10"]
    )
    top5 = table.lines[1]
    mean, deviation = top5.figures
    assert mean.ours == pytest.approx(99.826) and mean.verdict == "differs" and "misprint" in mean.note
    assert deviation.verdict == "equal"


def test_quantized_sizes_and_unused_slopes_count_the_kernels_and_plain_modules():
    import tensorflow as tf

    model = zoo.build("bnext_t", (32, 32, 3), 10, widths=(16, 32, 32))
    profile = accounting.profile(model, dense=True)
    squeeze = sum(
        w.shape.num_elements()
        for layer in model.layers
        if layer.name.endswith(("/squeeze", "/expand"))
        for w in layer.weights[:1]
    )
    others = 3 * 3 * 3 * 16 + 32 * 10
    mib = profile.size_mib - (squeeze * 28 + others * 24) / 8 / 2**20
    assert METRICS["size_quantized"].value_of(profile) == pytest.approx(mib)
    # The stem, block 1's 3x3 and its two 1x1, block 2's 1x1; block 2's 3x3 has the attention.
    unused = 16 + 16 + 2 * 16 + 32
    assert METRICS["size_stored"].value_of(profile) == pytest.approx(profile.size_mib + unused * 4 / 2**20)
    tf.keras.backend.clear_session()

"""The report: what its charts and its page show, that it needs nothing but itself, in a real browser."""

import base64
import dataclasses
import html.parser
import json
import re
import shutil
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure

from bnn_keras import accounting, cli, data, report
from bnn_keras.nn import layers
from bnn_keras.papers import published
from bnn_keras.report import charts, comparison, constants, curves, flip_charts, page, samples, settings
from bnn_keras.runs import RunFolder, Table
from bnn_keras.runs.config import RunConfig
from bnn_keras.runs.table import FLIP_COLUMNS
from bnn_keras.settings.recipe import Recipe
from bnn_keras.settings.search import SearchSettings
from bnn_keras.training import flips
from tests.report import browser
from tests.report.test_device import MANIFEST

SECTIONS = [
    "Curves",
    "Flips of binary weights",
    "Sample predictions",
    "Size and operations",
    "Settings",
    "Epochs",
]
RECIPE = Recipe(epochs=3, batch_size=8, optimizer="sgd", learning_rate=0.1)
NASTY = "<script>document.title='x'&lt;\"'"  # a name that a folder can have


def network(classes):
    x = image = tf.keras.Input((16, 16, 3))
    for i in range(3):
        x = layers.binary_conv(8, 3, name=f"block{i}/conv")(x)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(image, tf.keras.layers.Dense(classes, name="head")(x), name="tiny")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of images, sorted by class, one class with a name to be escaped."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for name in ("ant", NASTY):
        (root / name).mkdir()
        for i in range(40):
            pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
            (root / name / f"{i}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    return data.open(f"folder:{root}", image_size=16)


def configuration(**settings):
    """The configuration of a run on small images."""
    usual = {"model": "tiny", "kind": "photographs", "image_size": 16, "classes": 2, "recipe": RECIPE}
    return RunConfig(**{**usual, "dataset": "digits", "normalization": "digits", **settings})


@pytest.fixture(scope="module")
def unwritten(images, tmp_path_factory):
    """The folder of a run without its report, written by hand."""
    return write_run(tmp_path_factory.mktemp("runs") / "one", images)


def write_run(path, dataset, epochs=3):
    folder, random = RunFolder(path), np.random.default_rng(1)
    path.mkdir(parents=True)
    config = configuration(
        model="<b>tiny</b>",
        dataset=dataset.name,
        weights="<i>a.keras</i>",
        recipe=dataclasses.replace(RECIPE, epochs=epochs, interpolation="bicubic"),
        environment={"numpy": "1 < 2"},
    )
    folder.config.write_text(config.to_json())
    folder.labels.write_text("".join(f"{name}\n" for name in dataset.class_names))
    columns = ["epoch", "learning_rate", "temperature", "loss", "accuracy", "val_loss", "val_accuracy"]
    history = Table(folder.history, [*columns, "seconds"])
    history.append(
        [{"epoch": e, "seconds": 60.5} | {c: e / 10 for c in columns[1:]} for e in range(1, epochs + 1)]
    )
    built = network(len(dataset.class_names))
    counter = flips.FlipCounter(built)
    table = Table(folder.flips, FLIP_COLUMNS)
    for epoch in range(1, epochs + 1):
        counter.reset()
        for _ in range(4):
            for kernel in flips.binary_kernels(built).values():
                kernel.assign(random.normal(size=kernel.shape))
            counter.update()
        table.append(flips.rows(epoch, counter.counts()))
    built.save(folder.best_model)
    return folder


@pytest.fixture(scope="module")
def written(unwritten):
    """The same with its report, which the command has written."""
    unwritten.finished.write_text("reached <u>99 %</u>\n")
    assert main("page", unwritten.path) == 0
    return unwritten


def copy(folder, path):
    return RunFolder(shutil.copytree(folder.path, path))


def test_the_cells_of_a_search_and_the_cost_of_a_file_are_shown_where_they_are(
    unwritten, written, quick, tmp_path
):
    folder = copy(unwritten, tmp_path / "run")
    config = dataclasses.replace(folder.read_config(), search=SearchSettings(gamma=3.5))
    folder.config.write_text(config.to_json())
    folder.cells.parent.mkdir(exist_ok=True)
    folder.cells.write_bytes(b"a drawing")
    (folder.path / "tiny.tflite").write_bytes(b"")
    (folder.path / "tiny.json").write_text(json.dumps(MANIFEST))
    assert main("page", folder.path) == 0
    text = folder.report.read_text()
    assert text.index("<h2>Cells</h2>") < text.index("<h2>Curves</h2>")
    assert base64.b64encode(b"a drawing").decode() in text
    assert "<tr><td>gamma</td><td>3.5</td></tr>" in text
    assert "<h2>On a device</h2>" in text
    assert not any(f"<h2>{name}</h2>" in written.report.read_text() for name in ("Cells", "On a device"))


class Elements(html.parser.HTMLParser):
    """Every element of a page with its attributes, and all text outside of style."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def elements(written):
    return Elements(written.report.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_but_itself(elements):
    assert not {"script", "link", "iframe", "object", "b", "i", "u"} & {tag for tag, _ in elements.found}
    addresses = [
        attributes[key] for _, attributes in elements.found for key in ("src", "srcset") if key in attributes
    ]
    assert addresses and all(address.startswith("data:image/") for address in addresses)
    assert not any(
        key.startswith("on") or key == "href" for _, attributes in elements.found for key in attributes
    )
    policy = [meta for meta in elements.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1 and policy[0]["content"].startswith("default-src 'none'")


def test_names_and_settings_are_escaped(elements, written):
    text = written.report.read_text(encoding="utf-8")
    assert "<script" not in text and "<b>tiny" not in text and "<u>" not in text
    for shown in (NASTY, "<b>tiny</b> on folder:", "<i>a.keras</i>", "1 < 2", "reached <u>99 %</u>"):
        assert shown in elements.text
    assert any(image["alt"] == f"Held-out image of class {NASTY}" for image in elements.of("img"))


def test_every_picture_has_words(elements):
    alts = [image["alt"] for image in elements.of("img")]
    assert all(alts)
    assert alts[0] == (
        "Accuracy by epoch. training: 0.1 at 1, 0.3 at 3, between 0.1 and 0.3; "
        "held-out: 0.1 at 1, 0.3 at 3, between 0.1 and 0.3."
    )
    charts_shown = [alt.split(" by epoch")[0] for alt in alts if " by epoch" in alt]
    assert charts_shown == [
        "Accuracy",
        "Cross-entropy",
        "Learning rate",
        "Temperature of the kernels",
        "Binary weights that flipped at all",
        "first, block0/conv",
    ]


def test_the_page_counts_what_the_accounting_counts(elements, written):
    profile = accounting.profile(tf.keras.models.load_model(written.best_model, compile=False))
    for number in (profile.params, profile.bops, profile.flops):
        assert f"{number:,}" in elements.text
    assert f"{profile.size_mib:.2f} MiB" in elements.text and "30.00 %" in elements.text
    assert "3 min 2 s" in elements.text


def test_the_pictures_are_files_too(written):
    for name in ("curves.png", "flips.png"):
        assert tf.io.decode_png((written.pictures / name).read_bytes()).shape[0] > 100


def test_a_run_without_binary_weights_has_no_flips(quick, unwritten, tmp_path):
    folder = copy(unwritten, tmp_path / "float")
    shutil.rmtree(folder.pictures, ignore_errors=True)
    Table(folder.flips, FLIP_COLUMNS).cut(0)
    report.write(folder, "done")
    shown = folder.report.read_text(encoding="utf-8")
    assert "Flips" not in shown and "Sample predictions" not in shown
    assert [path.name for path in folder.pictures.iterdir()] == ["curves.png"]


BACKGROUND = "return getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_in_a_browser(written, images, width):
    if reason := browser.missing():
        pytest.skip(reason)
    with browser.opened(width, 900) as shown:
        shown.open(written.report)
        assert shown.run("return [...document.querySelectorAll('h2')].map(h => h.textContent)") == SECTIONS
        assert shown.run("return document.title").startswith("<b>tiny</b> on folder:")
        assert shown.run("return window.innerWidth") == width
        # Nothing hangs over the edge; wide tables scroll by themselves.
        assert shown.run("return document.documentElement.scrollWidth") == width
        loaded = "[...document.images].every(image => image.complete && image.naturalWidth)"
        assert shown.run("return document.images.length") == 6 + images.num_test
        shown.wait(loaded)
        light = shown.run("return document.images[0].currentSrc")
        assert shown.run(BACKGROUND) == "rgb(255, 255, 255)"
        shown.prefer("dark")
        # The other pictures are fetched when the browser comes to it.
        shown.wait(f"document.images[0].currentSrc != {light!r} && {loaded}")
        assert shown.run(BACKGROUND) == "rgb(22, 25, 30)"
        assert shown.errors() == []


def test_the_browser_test_can_fail(tmp_path):
    """What the test above rests on: the console's errors arrive, and a broken image is seen."""
    if reason := browser.missing():
        pytest.skip(reason)
    path = tmp_path / "broken.html"
    path.write_text(page.page("t", "s", ['<img src="data:image/png;base64,AAAA"><script>let a</script>']))
    with browser.opened(360, 900) as shown:
        shown.open(path)
        assert shown.run("return document.images[0].naturalWidth") == 0
        assert any("Content Security Policy" in error for error in shown.errors())


def test_samples_are_spread_and_are_what_the_network_says(images):
    """The held-out half lies sorted by class; with 16 images both come."""
    built = network(2)
    assert images.num_test == 16
    shown = samples.classify_samples(built, images, 4)
    every, labels = next(iter(images.test(16)))
    assert [s.truth for s in shown] == [images.class_names[k] for k in labels[::4]]
    assert {s.truth for s in shown} == {"ant", NASTY}
    shares = tf.nn.softmax(built.predict_on_batch(every[::4])).numpy()
    for sample, share, image in zip(shown, shares, every[::4], strict=True):
        assert sample.predicted == images.class_names[share.argmax()]
        assert sample.probability == pytest.approx(share.max(), abs=1e-6)
        np.testing.assert_array_equal(tf.io.decode_png(sample.png), np.rint(image))
        assert sample.size == 16 and sample.right == (sample.truth == sample.predicted)


def test_more_samples_than_held_out_images_are_all_of_them(images):
    assert len(samples.classify_samples(network(2), images, 500)) == images.num_test


def test_large_images_become_thumbnails(images):
    png, size = samples._thumbnail(tf.zeros((224, 224, 3)))
    assert size == 96 and tf.io.decode_png(png).shape == (96, 96, 3)


def imagenet(**settings):
    return configuration(**{"dataset": "imagenet2012", "model": "meliusnet22", **settings})


def test_on_imagenet_the_authors_curve_stands_beside(tmp_path):
    table = Table(tmp_path / "history.csv", ["epoch", "learning_rate", "accuracy", "val_accuracy"])
    table.append([{"epoch": 1, "learning_rate": 0.002, "accuracy": 0.1, "val_accuracy": 0.2}])
    shown = {chart.title: chart.lines for chart in curves.history_charts(table, imagenet())}
    theirs = published.curve("meliusnet22", "grouped")
    held_out = {line.label: line for line in shown["Accuracy"]}["authors, held-out"]
    np.testing.assert_array_equal(held_out.y, theirs["val_top1"])
    assert [line.label for line in shown["Learning rate"]] == ["this run", "authors"]
    np.testing.assert_array_equal(shown["Learning rate"][1].y, theirs["learning_rate"])
    stem = curves.authors_curve(imagenet(overrides={"stem": "conv7x7"}))
    np.testing.assert_array_equal(stem["val_top1"], published.curve("meliusnet22", "conv7x7")["val_top1"])


def test_elsewhere_there_is_no_authors_curve():
    assert curves.authors_curve(imagenet(dataset="cifar10")) is None
    assert curves.authors_curve(imagenet(model="bnext_t")) is None


def history(path, **columns):
    """A table with a row for each epoch."""
    table = Table(path / "history.csv", ["epoch", *columns])
    numbered = enumerate(zip(*columns.values(), strict=True), start=1)
    table.append([{"epoch": epoch, **dict(zip(columns, row, strict=True))} for epoch, row in numbered])
    return table


def titles(table, **settings):
    shown = curves.history_charts(table, configuration(**settings))
    return [(chart.title, [line.label for line in chart.lines]) for chart in shown]


def test_losses_with_teachers_and_cross_entropy_are_drawn_apart(tmp_path):
    names = ("loss", "teacher_loss", "assistant_loss", "teacher_weight", "val_loss", "val_other", "seconds")
    table = history(tmp_path, **{name: [1, 2] for name in names})
    assert titles(table) == [
        ("Training loss with teachers", [""]),
        ("Cross-entropy", ["held-out"]),
        ("Loss for each teacher", ["teacher", "assistant"]),
        ("Weight of each teacher", ["teacher"]),
        ("other", ["held-out"]),
    ]
    alone = history(tmp_path / "alone", loss=[1, 2], val_loss=[1, 2])
    assert titles(alone) == [("Cross-entropy", ["training", "held-out"])]


@pytest.mark.parametrize(("classes", "shown"), [(9, []), (10, ["Top-5 accuracy"])])
def test_there_is_no_top_5_below_ten_classes(classes, shown, tmp_path):
    table = history(tmp_path, top5=[0.5, 0.6], val_top5=[0.5, 0.6])
    assert [title for title, _ in titles(table, classes=classes)] == shown


def test_a_constant_is_a_sentence_and_not_a_curve(quick, unwritten, tmp_path):
    folder = copy(unwritten, tmp_path / "constant")
    table = Table(folder.history, ())
    rows = [{**row, "learning_rate": 0.002, "temperature": 0.25} for row in table.rows]
    folder.history.unlink()
    Table(folder.history, list(rows[0])).append(rows)
    report.write(folder, "done")
    found = Elements(folder.report.read_text(encoding="utf-8"))
    assert "Learning rate: 0.002 in every epoch." in found.text
    assert "Temperature of the kernels: 0.25 in every epoch." in found.text
    drawn = [image["alt"].split(" by epoch")[0] for image in found.of("img")]
    assert drawn[:3] == ["Accuracy", "Cross-entropy", "Binary weights that flipped at all"]


def test_sentences_about_constants():
    lines = [charts.Line(name, [1, 2], y) for name, y in (("a", [0, 0]), ("b", [1, 2]), ("c", [0, 0]))]
    mixed, level = charts.Chart("mixed", lines), charts.Chart("level", lines[::2])
    assert constants.separate([mixed, level]) == ([mixed], ["level: a, c 0 in every epoch."])
    (changing,), sentences = constants.separate_lines([mixed])
    assert [line.label for line in changing.lines] == ["b"] and sentences == ["mixed: a, c 0 in every epoch."]
    once = charts.Chart("once", [charts.Line("", [1], [3]), charts.Line("x", [1], [float("nan")])])
    assert constants.separate([once]) == ([], ["once: 3; x no number in the only epoch."])


def test_flip_charts_show_the_table(written):
    table = Table(written.flips, ())
    first, last = flip_charts.percentile_charts(table)
    assert [line.label for line in first.lines][-2:] == ["99th percentile", "maximum"]
    rows = [row for row in table.rows if row["kernel"] == "block2/conv"]
    assert list(last.lines[1].y) == [float(row["p75"]) for row in rows]
    shares = flip_charts.share_chart(table)
    assert [line.label for line in shares.lines] == [
        "all binary weights",
        "first: block0/conv",
        "last: block2/conv",
    ]
    flipped = [
        sum(float(r["weights"]) * (1 - float(r["stable"])) for r in table.rows if r["epoch"] == e)
        for e in "123"
    ]
    weights = sum(float(row["weights"]) for row in table.rows if row["epoch"] == "1")
    np.testing.assert_allclose(shares.lines[0].y, [100 * number / weights for number in flipped])


@pytest.mark.parametrize("values", [[3e-4, 2e-4], [3e-4, 0.0, 9.0]])
@pytest.mark.parametrize("y_scale", ["log", "counts"])
def test_ticks_are_numbers_and_not_formulas(values, y_scale):
    axes = Figure().subplots()
    chart = charts.Chart("t", [charts.Line("", range(len(values)), values)], y_scale=y_scale)
    charts._draw(axes, chart, charts.LIGHT)
    ticks = [label.get_text() for which in (False, True) for label in axes.get_yticklabels(minor=which)]
    assert any(ticks) and not any("$" in tick for tick in ticks)


def test_drawing_is_repeatable_and_has_two_themes():
    """Dollar signs would begin a formula, and an unfinished one would be an error."""
    chart = charts.Chart("a $ b_{", [charts.Line("x $\\frac{", [1, 2], [float("nan"), 2])], y_scale="counts")
    light = charts.svg(chart, charts.LIGHT)
    assert light == charts.svg(chart, charts.LIGHT) != charts.svg(chart, charts.DARK)
    assert chart.description() == "a $ b_{ by epoch. x $\\frac{: 2 at 2, 2 at 2, between 2 and 2."
    empty = charts.Line("", [1], [float("inf")])
    assert empty.description() == "the line: no values"


def contrast(a, b):
    """WCAG's ratio of two colours."""

    def luminance(color):
        digits = color.lstrip("#")
        digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [charts.LIGHT, charts.DARK])
def test_colors_can_be_read(theme):
    assert contrast(theme.text, theme.background) > 7
    assert min(contrast(color, theme.background) for color in theme.colors) > 3  # of lines, not text


def main(*words):
    return cli.run(["report", *map(str, words)])


def test_the_door_writes_the_page_of_a_run_that_goes_on(written, tmp_path, capsys, monkeypatch):
    folder, asked = copy(written, tmp_path / "going"), []
    folder.finished.unlink()
    monkeypatch.setattr(report, "write", lambda *arguments: asked.append(arguments))
    assert main("page", folder.path) == 0
    assert capsys.readouterr().out.strip() == str(folder.report)
    (of, sentence, dataset, output) = asked.pop()
    assert output == folder.report
    assert of.path == folder.path and sentence == "3 epochs so far"
    assert dataset.evaluated.interpolation == "bicubic"  # as the run's recipe evaluates


def chunks(png):
    """The names of a PNG file's parts; each part's checksum is checked."""
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        found.append(body[:4])
        at += 12 + length
    return found


def test_the_door_draws_the_flips_of_several_runs(written, tmp_path, capsys):
    other = copy(written, tmp_path / "two")
    Table(other.flips, FLIP_COLUMNS).cut(2)
    output = tmp_path / "flips.png"
    assert main("flips", written.path, other.path, f"--output={output}") == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert chunks(output.read_bytes())[-1] == b"IEND"
    tables = {folder.path.name: Table(folder.flips, ()) for folder in (written, other)}
    first, last = flip_charts.compare_runs(tables)
    stable = [float(row["stable"]) for row in tables["two"].rows if row["kernel"] == "block0/conv"]
    np.testing.assert_allclose(first.lines[1].y, [100 - 100 * share for share in stable])
    assert first.title == "Flipped at all: first, block0/conv"
    assert [line.label for line in last.lines] == ["one", "two"]
    assert [len(line.x) for line in last.lines] == [3, 2]


@pytest.fixture
def quick(monkeypatch):
    """Pages whose pictures are not drawn."""
    monkeypatch.setattr(charts, "svg", lambda *_: b"")


def another(folder, path, seed=0, better=0.0, distillation=None, **recipe):
    """A copy of a run with other settings and accuracies."""
    new = copy(folder, path)
    config = dataclasses.replace(folder.read_config(), seed=seed, distillation=distillation)
    config = dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, **recipe))
    new.config.write_text(config.to_json())
    rows = [
        {**row, "val_accuracy": float(row["val_accuracy"]) + better} for row in Table(new.history, ()).rows
    ]
    new.history.unlink()
    Table(new.history, list(rows[0])).append(rows)
    return new


@pytest.fixture(scope="module")
def several(unwritten, tmp_path_factory):
    """A folder of three seeds, the last of which has no completed epoch, and a run with another rate."""
    root = tmp_path_factory.mktemp("several")
    for seed, better in ((9, 0.0), (10, 0.1), (11, 0.0)):
        new = another(unwritten, root / "slow" / f"seed{seed}", seed, better)
    Table(new.history, ()).cut(0)
    fast = another(unwritten, root / "fast", learning_rate=0.5)
    return [root / "slow", fast.path]


def test_seeds_of_one_setting_belong_together(several):
    slow, fast = settings.gather(several)
    assert (slow.name, fast.name) == ("slow", "fast")
    assert [run.config.seed for run in slow.runs] == [9, 10]
    assert settings.differing([slow.config, fast.config]) == {"learning_rate": [0.1, 0.5]}
    shown = {chart.title: chart for chart in comparison.history_charts([slow, fast])}
    mean, single = shown["Accuracy, held-out"].lines
    np.testing.assert_allclose(mean.y, [0.15, 0.25, 0.35])
    np.testing.assert_allclose(mean.spread, [0.1 / 2**0.5] * 3)
    np.testing.assert_allclose(single.y, [0.1, 0.2, 0.3])
    assert single.spread is None


def test_names_are_as_short_as_they_differ(several, tmp_path):
    slow, fast = several
    copied = another(RunFolder(fast), tmp_path / "fast", learning_rate=0.7)
    names = [setting.name for setting in settings.gather([fast, copied.path])]
    assert names == [f"{fast.parent.name}/fast", f"{tmp_path.name}/fast"]
    seeds = settings.gather([slow / "seed10", slow / "seed9"])
    assert [setting.name for setting in seeds] == ["seed10 and 1 more"]


def test_the_door_compares_runs_of_all_kinds(quick, several, unwritten, tmp_path, capsys):
    """One was distilled, one has no binary weights and other data: each is in the charts that it has."""
    taught = another(unwritten, tmp_path / "taught", distillation={"teacher": "t"})
    rows = [{**row, "teacher_loss": 1 / float(row["epoch"])} for row in Table(taught.history, ()).rows]
    taught.history.unlink()
    Table(taught.history, list(rows[0])).append(rows)
    other = another(unwritten, tmp_path / "other")
    other.config.write_text(configuration(dataset=f"folder:{NASTY}").to_json())
    other.flips.unlink()
    output = tmp_path / "page.html"
    assert main("page", *several, taught.path, other.path, f"--output={output}") == 0
    assert capsys.readouterr().out.strip() == str(output)
    found = Elements(output.read_text(encoding="utf-8"))
    for text in ("Comparison of 5 runs", "slow", "35.00 ± 7.07", "3 of 3", "learning_rate", NASTY, "181.5"):
        assert text in found.text
    assert "batch_size" not in found.text and "label_smoothing" not in found.text
    assert "script" not in {tag for tag, _ in found.found}
    alts = {image["alt"].split(" by epoch")[0]: image["alt"] for image in found.of("img")}
    assert "taught: 1 at 1" in alts["Loss for each teacher, teacher"]
    assert "taught" not in alts["Cross-entropy, training"] and "taught" in alts["Cross-entropy, held-out"]
    assert "other" not in alts["Binary weights that flipped at all"]


def test_the_page_of_a_folder_of_seeds_lies_in_it(quick, several, capsys, tmp_path):
    folder = shutil.copytree(several[0], tmp_path / "slow")
    assert main("page", folder) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    found = Elements((folder / "report.html").read_text(encoding="utf-8"))
    assert "Comparison of 2 runs" in found.text and "Settings that differ" not in found.text


def refused(capsys, *words):
    assert main(*words) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: [^\n]*\n", error)
    return error


def test_what_the_door_refuses(written, tmp_path, capsys):
    assert "Unknown report 'pages'; did you mean page?" in refused(capsys, "pages")
    assert "Unknown report ''" in refused(capsys)
    assert "Give a run folder after 'page'. Received: none" in refused(capsys, "page")
    assert "Give --output, the page of several" in refused(capsys, "page", written.path, written.path)
    page_of = f"--output={tmp_path / 'x.html'}"
    assert "compared once. Received twice: " in refused(capsys, "page", written.path, written.path, page_of)
    for strange in (tmp_path, tmp_path / "none", written.history, "x" * 300):
        assert "error: " in refused(capsys, "page", written.path, strange, page_of)
    assert "is not a run folder" in refused(capsys, "page", written.path, tmp_path, page_of)
    assert "Give --output" in refused(capsys, "flips", written.path)
    output = f"--output={tmp_path / 'x.png'}"
    assert "is not a run folder" in refused(capsys, "flips", tmp_path, output)
    assert "names, which must differ" in refused(capsys, "flips", written.path, written.path, output)
    other = copy(written, tmp_path / "other")
    other.flips.write_text(other.flips.read_text().replace("block2", "block9"))
    error = refused(capsys, "flips", written.path, other.path, output)
    assert "one with the binary kernels block0/conv to block2/conv, other with block0/conv to block9" in error
    Table(other.flips, FLIP_COLUMNS).cut(0)
    Table(other.history, ()).cut(0)
    for verb in ("page", "flips"):
        assert "has no completed epoch" in refused(capsys, verb, other.path, output)
    assert "has no completed epoch" in refused(capsys, "page", written.path, other.path, page_of)
    assert not (tmp_path / "x.png").exists()

"""The report: what its charts and its page show, that it needs nothing but itself, in a real browser."""

import dataclasses
import html.parser
import re
import shutil
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import accounting, cli, data, report
from bnn_keras.nn import layers
from bnn_keras.papers import published
from bnn_keras.report import charts, curves, flip_charts, page, samples
from bnn_keras.runs import RunFolder, Table
from bnn_keras.runs.config import RunConfig
from bnn_keras.runs.table import FLIP_COLUMNS
from bnn_keras.settings.recipe import Recipe
from bnn_keras.training import flips
from tests.report import browser

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
        "Loss",
        "Learning rate",
        "Temperature of the kernels",
        "Flips: first, block0/conv",
        "Flips: last, block2/conv",
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


def test_a_run_without_binary_weights_has_no_flips(unwritten, tmp_path):
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


def test_what_else_a_run_measures_has_a_chart_too(tmp_path):
    table = Table(tmp_path / "history.csv", ["epoch", "loss", "teacher_loss", "val_loss", "seconds"])
    table.append([{"epoch": 1, "loss": 3, "teacher_loss": 2, "val_loss": 1, "seconds": 9}])
    shown = curves.history_charts(table, configuration())
    assert [(chart.title, [line.label for line in chart.lines]) for chart in shown] == [
        ("Loss", ["training", "held-out"]),
        ("teacher_loss", ["training"]),
    ]


def test_flip_charts_show_the_table(written):
    table = Table(written.flips, ())
    first, last = flip_charts.flip_charts(table)
    assert [line.label for line in first.lines][-2:] == ["99th percentile", "maximum"]
    rows = [row for row in table.rows if row["kernel"] == "block2/conv"]
    assert list(last.lines[1].y) == [float(row["p75"]) for row in rows]


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
    (of, sentence, dataset) = asked.pop()
    assert of.path == folder.path and sentence == "3 epochs so far"
    assert dataset.augmentation.interpolation == "bicubic"  # as the run's recipe evaluates


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
    np.testing.assert_allclose(first[0].lines[1].y, [100 - 100 * share for share in stable])
    assert [chart.title for chart in first] == ["first: flipped at all", "first: one", "first: two"]
    assert [line.label for line in last[0].lines] == ["one", "two"]
    assert [len(line.x) for line in last[0].lines] == [3, 2] == [len(chart.lines[0].x) for chart in last[1:]]
    tops = {chart.y_top for chart in last[1:]}
    assert len(tops) == 1 and tops.pop() > max(max(line.y) for chart in last[1:] for line in chart.lines)


def refused(capsys, *words):
    assert main(*words) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: [^\n]*\n", error)
    return error


def test_what_the_door_refuses(written, tmp_path, capsys):
    assert "Unknown report 'pages'; did you mean page?" in refused(capsys, "pages")
    assert "Unknown report ''" in refused(capsys)
    assert "Give a run folder after 'page'. Received: none" in refused(capsys, "page")
    assert "Unexpected argument" in refused(capsys, "page", written.path, written.path)
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
    assert not (tmp_path / "x.png").exists()

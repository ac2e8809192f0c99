"""The verb demo: the folder that it writes, and what it refuses. Its page in a browser: tests/deploy/page."""

import functools
import json

import pytest

from bnn_keras import cli, deploy
from bnn_keras.deploy import rewrite
from bnn_keras.deploy.page import folder, litert_js, serving
from bnn_keras.deploy.scores import scores
from bnn_keras.runs import trained
from bnn_keras.settings.runtime import BUILTIN
from tests import small_run
from tests.networks import images, randomise
from tests.runs.config_of_digits import CONFIG


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    names = [f"number {i}" for i in range(10)]
    return small_run.untrained(tmp_path_factory.mktemp("runs") / "run", network(), CONFIG, names)


@functools.cache
def network():
    return randomise(small_run.network())


@functools.cache
def converted():
    model = network()
    flatbuffer = deploy.to_flatbuffer(model, options=rewrite.Options(BUILTIN))
    return flatbuffer, deploy.verify(model, flatbuffer, images(1, 32))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One conversion, which is verified, and no download."""
    monkeypatch.setattr(
        deploy, "convert", lambda *_, options, **__: options.runtime == BUILTIN and converted()
    )
    monkeypatch.setattr(litert_js, "read", lambda folder: {"core.js": str(folder).encode()})


def main(*words):
    return cli.run(["demo", *map(str, words)])


def test_a_page_is_written_and_served(run_folder, monkeypatch, capsys):
    class Server:
        server_port = 4711

        def serve_forever(self):
            print("serves")

    monkeypatch.setattr(serving, "server_of", lambda place, port: (place, port) and Server())
    assert main(run_folder, "--images=20", "--samples=5", "--serve", "--litert_js=there") == 0
    shown, page = capsys.readouterr().out, run_folder / "page"
    assert f"wrote {page} (" in shown and "sums of signs: " in shown
    assert "open http://127.0.0.1:4711/ (Ctrl-C ends the server)\nserves" in shown
    about = json.loads((page / "page.json").read_text())
    assert (page / about["file"]).read_bytes() == converted()[0]
    assert about["classes"] == [f"number {i}" for i in range(10)] and about["values"] == "logits"
    assert about["size"] == about["preprocessing"]["crop_size"] == 32 and len(about["samples"]) == 5
    assert (page / "litert" / "core.js").read_bytes() == b"there"
    network = trained.load(run_folder)
    for sample in about["samples"]:
        values = network.read_image(page / sample["file"])[None]
        assert sample["expected"] == f"number {scores(network.keras_model, values).argmax()}"


def test_mistakes_are_sentences_and_write_nothing(run_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "net.tflite").write_bytes(converted()[0])
    place = tmp_path / "page"
    monkeypatch.setattr(folder, "WASM_MEMORY", 2**16)
    for words, sentence in (
        ([], "Give one run folder or .keras file. Received: nothing."),
        ([run_folder, "--port=80"], "--port is the port of --serve: give both. Received: no --serve."),
        ([run_folder, "--serve", "--port=65536"], "--port=65536: it must be a whole number from 0 to 65535"),
        ([tmp_path / "net.tflite"], "net.tflite holds no Keras model"),
        ([run_folder, "--output_dir=/proc/page"], "Cannot write /proc/page"),
        ([run_folder, "--images=2"], "MiB, which exceeds the memory of a browser's worker: WebAssembly has"),
    ):
        assert main(*words, *([] if "--output_dir=/proc/page" in words else [f"--output_dir={place}"])) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert not place.exists()

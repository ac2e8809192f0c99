"""The page classifies in a browser as the Keras model does, and asks for nothing outside of its folder."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnn_keras import data, deploy
from bnn_keras.deploy import rewrite
from bnn_keras.deploy.page import folder, litert_js, serving
from bnn_keras.deploy.scores import scores
from bnn_keras.errors import UserError
from bnn_keras.settings.preprocessing import Preprocessing
from bnn_keras.settings.runtime import BUILTIN
from tests.networks import binary_conv, images, network_around
from tests.report import browser

SIZE, CLASSES = 24, ("one", "two", "three", "four")
PREPARED = Preprocessing(shorter_side=27, interpolation="bicubic", antialias=True, crop_size=SIZE)
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@pytest.fixture(scope="module")
def runtime():
    """LiteRT.js of the folder that LITERT_JS names, or of the npm registry."""
    if browser.missing():
        pytest.skip(browser.missing())
    try:
        return litert_js.read(os.environ.get("LITERT_JS"))
    except UserError as error:
        pytest.skip(str(error))


def written(place, runtime):
    """A page with four samples, the model of its network, and the samples."""
    model = network_around(binary_conv(), SIZE)
    network = deploy.to_flatbuffer(model, options=rewrite.Options(BUILTIN, rewrite.NAMES))
    pixels = np.rint(images(4, SIZE)).astype(np.uint8)
    best = scores(model, pixels.astype(np.float32)).argmax(-1)
    samples = [folder.Sample(image, CLASSES[one]) for image, one in zip(pixels, best, strict=True)]
    about = folder.About("a <net>", CLASSES, PREPARED, "logits", "float32")
    folder.write(place, about, network, samples, runtime)
    return model, pixels


def test_it_classifies_as_keras_does_and_asks_for_nothing_outside(runtime, tmp_path):
    model, pixels = written(tmp_path, runtime)
    expected = scores(model, pixels.astype(np.float32))
    server = serving.server_of(tmp_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        with browser.opened(380, 800, NOWHERE) as page:
            page.go_to(f"{address}/index.html")
            page.wait("['ready', 'failed'].includes(document.body.dataset.state)")
            assert page.run("return document.getElementById('status').textContent") == (
                "Choose an image or a sample."
            )
            for i, row in enumerate(expected):
                found = page.run(f"return page.classifySample(page.about().samples[{i}])")
                np.testing.assert_allclose(found["scores"], row, atol=1e-3 * np.abs(expected).max())
                assert found["best"] == CLASSES[row.argmax()] and found["milliseconds"] > 0
                says = page.run("return document.getElementById('status').textContent")
                assert says == f"{CLASSES[row.argmax()]}, as expected"
            assert page.run("return document.querySelectorAll('#classes li').length") == 4
            asked = page.run("return performance.getEntriesByType('resource').map((one) => one.name)")
            assert len(asked) > 8 and all(one.startswith(f"{address}/") for one in asked)
            # The browser refuses what the page itself would not ask for.
            refused = page.run("return fetch('https://example.com/').then(() => false, () => true)")
            assert refused
            assert page.run("return document.documentElement.scrollWidth") <= 380
            # LiteRT.js looks for a GPU, which is not there, and says so.
            known = ("example.com", "/litert/", "No available adapters")
            assert not [one for one in page.errors() if not any(part in one for part in known)]
            check_preparation(page, tmp_path)
    finally:
        server.shutdown()
        server.server_close()


def check_preparation(page, place):
    """The script prepares images as the reader of images does."""
    photograph = tf.image.resize(images(1, 9)[0], (61, 45), "bicubic").numpy().clip(0, 255)
    (place / "photo.png").write_bytes(tf.io.encode_png(photograph.astype(np.uint8)).numpy())
    for steps in (
        PREPARED,
        Preprocessing(shorter_side=64, interpolation="bilinear", antialias=False, crop_size=32),
    ):
        found = page.run(
            "return Promise.all([import('./prepare.js'), fetch('photo.png').then((r) => r.blob())])"
            ".then(async ([module, blob]) => { const image = await createImageBitmap(blob);"
            "const context = new OffscreenCanvas(45, 61).getContext('2d'); context.drawImage(image, 0, 0);"
            f"return Array.from(module.prepare(context.getImageData(0, 0, 45, 61), {steps_of(steps)})) }})"
        )
        expected = data.read_prepared(place / "photo.png", steps)
        np.testing.assert_allclose(np.reshape(found, expected.shape), expected, atol=0.01)


def steps_of(steps):
    return json.dumps({name: getattr(steps, name) for name in steps.__dataclass_fields__})


def test_a_package_with_another_sum_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"litertjs-core-2.5.3.tgz is missing: fill the folder with npm pack"):
        litert_js.read(str(tmp_path))
    (tmp_path / "litertjs-core-2.5.3.tgz").write_bytes(b"another package")
    with pytest.raises(UserError, match=r"is not @litertjs/core 2.5.3: its SHA-512 sum differs"):
        litert_js.read(str(tmp_path))


def test_without_a_network_the_download_says_what_to_do(monkeypatch):
    monkeypatch.setattr(litert_js, "REGISTRY", "https://127.0.0.1:9")
    with pytest.raises(UserError, match=r"Cannot download .*run npm pack @litertjs/core@2.5.3"):
        litert_js.read(None)


def test_a_file_beyond_the_memory_of_a_browser_is_refused():
    folder.check_size(682 * 2**20, "a run")
    with pytest.raises(
        UserError, match="a run takes 700 MiB, which exceeds the memory of a browser's worker"
    ):
        folder.check_size(700 * 2**20, "a run")


def test_the_text_of_the_page_is_escaped_and_allows_its_own_scripts_only(tmp_path):
    about = folder.About("a <net>", CLASSES, PREPARED, "softmax", "float32")
    folder.write(tmp_path, about, b"", [], {"core.js": b"1"})
    text = (tmp_path / "index.html").read_text()
    assert "<title>a &lt;net&gt;</title>" in text and "default-src 'self'" in text
    assert (tmp_path / "litert" / "core.js").read_bytes() == b"1"
    assert json.loads((tmp_path / "page.json").read_text())["values"] == "softmax"


def test_a_port_that_is_taken_is_a_sentence(tmp_path):
    server = serving.server_of(tmp_path)
    with pytest.raises(
        UserError, match=f"Cannot listen on port {server.server_port}: .*--port=0 takes a free"
    ):
        serving.server_of(Path(tmp_path), server.server_port)
    server.server_close()

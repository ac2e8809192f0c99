"""The page classifies in a browser as the Keras model does, and asks for nothing outside of its folder."""

import base64
import json
import os
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

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
ARGUMENTS = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--use-fake-device-for-media-stream",  # a camera that shows a moving picture
    "--use-fake-ui-for-media-stream",  # and that the user has allowed
)


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


@pytest.fixture(scope="module")
def shown(runtime, tmp_path_factory):
    """The page in a browser, its folder and address, its model and the pixels of its samples."""
    place = tmp_path_factory.mktemp("page")
    model, pixels = written(place, runtime)
    server = serving.server_of(place)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        with browser.opened(380, 800, *ARGUMENTS) as page:
            page.go_to(f"{address}/index.html")
            page.wait("['ready', 'failed'].includes(document.body.dataset.state)")
            yield types.SimpleNamespace(page=page, place=place, address=address, model=model, pixels=pixels)
    finally:
        server.shutdown()
        server.server_close()


def text_of(page, element):
    return page.run(f"return document.getElementById('{element}').textContent")


def test_it_classifies_as_keras_does_and_asks_for_nothing_outside(shown):
    page = shown.page
    assert text_of(page, "status") == "Choose an image or a sample."
    expected = scores(shown.model, shown.pixels.astype(np.float32))
    for i, row in enumerate(expected):
        found = page.run(f"return page.classifySample(page.about().samples[{i}])")
        np.testing.assert_allclose(found["scores"], row, atol=1e-3 * np.abs(expected).max())
        assert found["best"] == CLASSES[row.argmax()] and found["milliseconds"] > 0
        assert text_of(page, "status") == f"{CLASSES[row.argmax()]}, as expected"
    assert page.run("return document.querySelectorAll('#classes li').length") == 4
    asked = page.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert len(asked) > 8 and all(one.startswith(f"{shown.address}/") for one in asked)
    # The browser refuses what the page itself would not ask for.
    refused = page.run("return fetch('https://example.com/').then(() => false, () => true)")
    assert refused
    assert page.run("return document.documentElement.scrollWidth") <= 380
    # LiteRT.js looks for a GPU, which is not there, and says so.
    known = ("example.com", "/litert/", "No available adapters")
    assert not [one for one in page.errors() if not any(part in one for part in known)]
    check_preparation(page, shown.place)


def class_of(shown, path):
    """What Keras says of an image file, and the number of images that the page has classified."""
    pixels = data.read_prepared(path, PREPARED)
    best = CLASSES[scores(shown.model, pixels[None]).argmax()]
    return best, int(shown.page.run("return Number(document.body.dataset.classified ?? 0)"))


def photographs(place):
    """Two files of other sizes than the network's, to which it gives different classes or not."""
    for name, seed in (("chosen.png", 4), ("dropped.jpg", 5)):
        pixels = np.rint(images(1, 40, seed)[0]).astype(np.uint8)
        Image.fromarray(pixels[:, :31]).save(place / name)
        yield place / name


def drop(page, name, content, kind):
    """Drop a file whose content is a JavaScript expression."""
    page.run(
        f"const moved = new DataTransfer(); moved.items.add(new File([{content}], '{name}', "
        f"{{ type: '{kind}' }})); document.getElementById('drop').dispatchEvent("
        f"new DragEvent('drop', {{ dataTransfer: moved, bubbles: true, cancelable: true }}))"
    )


def test_files_are_chosen_and_dropped(shown, tmp_path):
    page = shown.page
    chosen, dropped = photographs(tmp_path)
    best, done = class_of(shown, chosen)
    page.send_file("#file", chosen)
    page.wait(f"document.body.dataset.classified == {done + 1}")
    assert text_of(page, "status") == best
    best, done = class_of(shown, dropped)
    content = base64.b64encode(dropped.read_bytes()).decode()
    drop(page, dropped.name, f"Uint8Array.from(atob('{content}'), (c) => c.charCodeAt(0))", "image/jpeg")
    page.wait(f"document.body.dataset.classified == {done + 1}")
    assert text_of(page, "status") == best
    assert page.run("return document.getElementById('file').value") == ""  # the same file can be chosen again


def test_what_is_no_image_is_a_sentence(shown, tmp_path):
    page = shown.page
    (tmp_path / "broken.png").write_bytes((shown.place / "samples" / "0.png").read_bytes()[:60])
    (tmp_path / "notes.txt").write_text("no image")
    for name in ("broken.png", "notes.txt"):
        sentence = f"{name} is not an image that this browser can read."
        page.send_file("#file", tmp_path / name)
        page.wait(f"document.getElementById('status').textContent == '{sentence}'")
    drop(page, "folder", "''", "")
    page.wait("document.getElementById('status').textContent.startsWith('folder is not an image')")
    page.run("document.dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer() }))")
    page.wait("document.getElementById('status').textContent.startsWith('This is not a file')")
    assert page.run("return document.body.dataset.state") == "ready"


def test_the_camera_is_classified_until_it_is_stopped(shown):
    page = shown.page
    done = int(page.run("return Number(document.body.dataset.classified ?? 0)"))
    page.run("document.getElementById('camera').click()")
    page.wait(f"document.body.dataset.classified >= {done + 3}")
    assert text_of(page, "camera") == "stop the camera" and text_of(page, "status") in CLASSES
    assert page.run("return document.getElementById('video').videoWidth") > 0
    hidden = "return [...document.querySelectorAll('#image, #video')].map((one) => one.hidden)"
    assert page.run(hidden) == [True, False]
    page.run("document.getElementById('camera').click()")
    assert page.run("return document.getElementById('video').srcObject.active") is False
    assert text_of(page, "camera") == "use the camera" and page.run(hidden) == [False, True]
    page.run(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('Permission denied'));"
        "document.getElementById('camera').click()"
    )
    page.wait(
        "document.getElementById('status').textContent == 'The camera cannot be used: Permission denied.'"
    )
    assert page.run("return document.getElementById('camera').disabled") is False


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

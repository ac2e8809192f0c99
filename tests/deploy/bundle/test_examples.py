"""The examples in a bundle that are not in Python: C++, and the Android project as far as it can be read.

The C++ example is compiled where g++, CMake, Debian's libstb-dev and nlohmann-json3-dev are, and where
LITERT_INCLUDE names a folder with LiteRT's headers (litert/c), which no package has.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import ai_edge_litert
import numpy as np
import pytest
from PIL import Image

from bnn_keras import deploy
from bnn_keras.deploy import rewrite
from bnn_keras.deploy.bundle import folder
from bnn_keras.settings.runtime import BUILTIN
from bnn_keras.tflite.interpreter import Interpreter
from tests.networks import binary_conv, images, network_around

ANDROID = folder.STATIC / "android"
MAIN = ANDROID / "app" / "src" / "main"
SIZE = 16
STEPS = {"shorter_side": 18, "crop_size": SIZE, "interpolation": "bicubic", "antialias": True}
NAMESPACE = "{http://schemas.android.com/apk/res/android}"


def sources():
    return "".join(path.read_text("utf-8") for path in sorted(MAIN.rglob("*.kt")))


def test_every_resource_that_android_code_and_layouts_name_exists():
    named = {(kind, name) for kind, name in re.findall(r"(?<!android\.)\bR\.(\w+)\.(\w+)", sources())}
    defined = {(path.parent.name, path.stem) for path in (MAIN / "res").glob("[lx]*/*.xml")}
    for path in MAIN.rglob("*.xml"):
        text = path.read_text("utf-8")
        ElementTree.fromstring(text)  # raises if it is not well-formed
        named |= set(re.findall(r'"@(string|xml|layout|id)/(\w+)"', text))
        defined |= {("id", name) for name in re.findall(r'"@\+id/(\w+)"', text)}
    strings = ElementTree.parse(MAIN / "res" / "values" / "strings.xml").getroot()
    defined |= {("string", string.get("name")) for string in strings}
    assert named and named == defined  # and nothing is there in vain


def test_the_manifest_names_the_activity_and_the_package():
    root = ElementTree.parse(MAIN / "AndroidManifest.xml").getroot()
    (activity,) = root.iter("activity")
    name = activity.get(f"{NAMESPACE}name").removeprefix(".")
    assert f"class {name} : ComponentActivity()" in sources()
    build = (ANDROID / "app" / "build.gradle.kts").read_text("utf-8")
    (package,) = set(re.findall(r"^package (\S+)$", sources(), re.M))
    assert f'namespace = "{package}"' in build
    assert (MAIN / "java" / package.replace(".", "/") / f"{name}.kt").is_file()


def test_the_app_reads_what_the_bundle_has():
    build = (ANDROID / "app" / "build.gradle.kts").read_text("utf-8")
    (assets,) = re.findall(r'assets\.srcDir\("(.+)"\)', build)
    assert os.path.normpath(Path("android/app") / assets) == "model"
    assert f'ENDING = "{folder.PORTABLE}.tflite"' in sources()
    assert set(re.findall(r'text\("(.+?)"\)', sources())) == {
        "$name.json",
        "labels.txt",
        "samples/$name.json",
    }


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The C++ example, compiled with the library of ai-edge-litert."""
    headers = os.environ.get("LITERT_INCLUDE")
    if headers is None:
        pytest.skip("LITERT_INCLUDE does not name a folder with LiteRT's headers, which no package has")
    absent = [name for name in ("g++", "cmake") if shutil.which(name) is None]
    if absent:
        pytest.skip(f"{' and '.join(absent)} not installed")
    place = tmp_path_factory.mktemp("build")
    library = Path(ai_edge_litert.__file__).with_name("libLiteRt.so")
    flags = [f"-DLITERT_LIBRARY={library}", f"-DLITERT_INCLUDE={headers}", "-DCMAKE_CXX_FLAGS=-Werror"]
    for command in (["-S", str(folder.STATIC / "cpp"), "-B", str(place), *flags], ["--build", str(place)]):
        done = subprocess.run(["cmake", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return place / "classify"


@pytest.fixture(scope="module", params=[("float32", "upright"), ("uint8", "upside_down")], ids=str)
def model(request, tmp_path_factory):
    """The folder `model` of a bundle: a portable file with samples."""
    kind, orientation = request.param
    place = tmp_path_factory.mktemp("model")
    options = rewrite.Options(BUILTIN, rewrite.NAMES)
    flatbuffer = deploy.to_flatbuffer(network_around(binary_conv(), SIZE), (), options, kind)
    pixels = np.rint(images(3, SIZE)).astype(np.uint8)
    outputs = Interpreter(flatbuffer).predict(pixels.astype(np.float32))
    (place / "a_portable.tflite").write_bytes(flatbuffer)
    manifest = {
        "bytes": len(flatbuffer),
        "sha256": hashlib.sha256(flatbuffer).hexdigest(),
        "rewrites": {"runtime": BUILTIN},
        "input": {"type": kind, "orientation": orientation, "preprocessing": STEPS},
        "output": {"values": "logits"},
    }
    (place / "a_portable.json").write_text(json.dumps(manifest))
    (place / "labels.txt").write_text("one\ntwo\nthree\nfour\n")
    (place / "samples").mkdir()
    upright = pixels if orientation == "upright" else pixels[:, ::-1, ::-1]
    for i, image in enumerate(upright):
        Image.fromarray(image).save(place / "samples" / f"{i}.png")
    expected = {
        "samples": ["0.png", "1.png", "2.png"],
        "tolerance": float(0.01 * np.abs(outputs).max()),
        "outputs": outputs.tolist(),
    }
    (place / "samples" / "a_portable.json").write_text(json.dumps(expected))
    return place


def run(program, *words):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_cpp_example_classifies_as_the_python_one_does(program, model, tmp_path):
    photograph = tmp_path / "photo.png"
    Image.fromarray(np.rint(images(1, 45)[0, :31]).astype(np.uint8)).save(photograph)
    status, shown, errors = run(program, model / "a_portable.tflite", "--check", photograph)
    assert status == 0, shown + errors
    assert shown.count("allowed: ok") == 3 and "3 of 3 samples give what they should" in shown
    # The Python example reads the labels of its own folder.
    shutil.copytree(folder.STATIC / "python", tmp_path / "python")
    shutil.copytree(model, tmp_path / "model")
    theirs = subprocess.run(
        [sys.executable, "-B", str(tmp_path / "python" / "classify.py"), str(photograph)],
        capture_output=True,
        text=True,
    )
    assert theirs.returncode == 0, theirs.stderr
    without_time = [text.rpartition(" (")[0] for text in (shown.splitlines()[-1], theirs.stdout.strip())]
    assert without_time[0] == without_time[1]


def test_damage_fails_the_self_check_in_cpp(program, model, tmp_path):
    place = Path(shutil.copytree(model, tmp_path / "model"))
    Image.new("RGB", (SIZE, SIZE), (255, 0, 0)).save(place / "samples" / "1.png")
    status, shown, _ = run(program, place / "a_portable.tflite", "--check")
    assert status == 1 and shown.count("WRONG") == 1
    (place / "samples" / "1.png").write_bytes(b"no image")
    status, _, errors = run(program, place / "a_portable.tflite", "--check")
    assert status == 1 and "1.png cannot be read" in errors
    content = bytearray((place / "a_portable.tflite").read_bytes())
    (place / "a_portable.tflite").write_bytes(content[: len(content) // 2])
    status, _, errors = run(program, place / "a_portable.tflite", "--check")
    assert status == 1 and "a_portable.tflite is damaged: its size is not the one in its manifest" in errors
    content[4:8] = b"none"
    (place / "a_portable.tflite").write_bytes(content)
    status, _, errors = run(program, place / "a_portable.tflite", "--check")
    assert status == 1 and "error: LiteRT cannot read the .tflite file" in errors


def test_mistakes_in_cpp_are_sentences(program, model, tmp_path):
    assert run(program)[0] == 1
    status, _, errors = run(program, tmp_path / "missing.tflite", "--check")
    assert status == 1 and errors == f"error: cannot read {tmp_path / 'missing.json'}\n"
    place = Path(shutil.copytree(model, tmp_path / "model"))
    manifest = json.loads((place / "a_portable.json").read_text())
    (place / "a_portable.json").write_text(json.dumps({**manifest, "rewrites": {"runtime": "lce"}}))
    status, _, errors = run(program, place / "a_portable.tflite", "--check")
    assert status == 1 and "needs the Larq Compute Engine; LiteRT runs the portable file" in errors

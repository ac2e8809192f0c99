"""The part of the page about converted files: the picture, the rewrites, and manifests of every kind."""

import html
import json

import pytest

from bnn_keras.report import charts, device

MILLION = 1e6
MANIFEST = {
    "rewrites": {
        "runtime": "lce_xnnpack",
        "skipped": [],
        "applied": [
            {
                "name": "scales",
                "places": 2,
                "removed": {"scale": 2},
                "added": {},
                "sentence": "scales: <applies>",
            },
            {"name": "means", "places": 0, "removed": {}, "added": {}, "sentence": "means: applies nowhere"},
        ],
    },
    "estimated_arm64_instructions": {
        "binary_floor": 50 * MILLION,
        "kinds": {
            "ADD": {"tflite": 9 * MILLION, "xnnpack": 5 * MILLION},
            "LceBconv2d": {"tflite": 70 * MILLION, "xnnpack": 70 * MILLION},
            "LOGISTIC": {"tflite": 1000, "xnnpack": 1000},
        },
        "kinds_without_rewrites": {
            "ADD": {"tflite": 9 * MILLION, "xnnpack": 8 * MILLION},
            "MUL": {"tflite": 9 * MILLION, "xnnpack": 4 * MILLION},
            "LceBconv2d": {"tflite": 70 * MILLION, "xnnpack": 70 * MILLION},
            "LOGISTIC": {"tflite": 2000, "xnnpack": 2000},
        },
    },
}


@pytest.fixture
def section(tmp_path):
    """The part of the page for a file with a manifest."""

    def write(manifest):
        (tmp_path / "net.tflite").write_bytes(b"")
        (tmp_path / "net.json").write_text(manifest)
        return html.unescape(device.section(tmp_path))

    return write


def test_the_picture_and_the_rewrites(section):
    shown = section(json.dumps(MANIFEST))
    assert (
        "net.tflite, made for XNNPACK: about 75.0 million ARM64 instructions for an image, 82.0 with" in shown
    )
    assert "<li>scales: <applies></li>" in shown and "<li>means: applies nowhere</li>" in shown
    assert (
        "million instructions. floor of the binary part: 50 as converted; "
        "LceBconv2d: 70 without rewrites, 70 as converted; ADD: 8 without rewrites, 5 as converted; "
        "MUL: 4 without rewrites; others: 0.002 without rewrites, 0.001 as converted."
    ) in shown


def test_names_of_rewrites_are_escaped(tmp_path):
    (tmp_path / "net.tflite").write_bytes(b"")
    (tmp_path / "net.json").write_text(json.dumps(MANIFEST))
    assert "<applies>" not in device.section(tmp_path)


def test_other_manifests(section, tmp_path):
    assert section("{}") == ""  # of an earlier version
    assert "net.json is not a whole JSON file" in section("{")
    assert "does not hold the manifest of a .tflite file" in section('{"rewrites": 3}')
    (tmp_path / "net.json").unlink()
    assert device.section(tmp_path) == ""


def test_bars_are_drawn_for_both_themes():
    chart = device._bars(device._Instructions(**MANIFEST["estimated_arm64_instructions"]), "tflite")
    light = charts.svg(chart, charts.LIGHT)
    assert light == charts.svg(chart, charts.LIGHT) != charts.svg(chart, charts.DARK)
    assert chart.names == ["floor of the binary part", "LceBconv2d", "ADD", "MUL", "others"]

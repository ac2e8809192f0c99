"""Addresses and clusters: what is one, and a sentence for everything that is none."""

import json

import pytest

from bnn_keras.errors import UserError
from bnn_keras.settings.address import Address, Cluster, Task, read_cluster, split_address
from bnn_keras.settings.kinds import convert_value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost:5050", ("localhost", 5050)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("worker_1.my-net.:65535", ("worker_1.my-net.", 65535)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_addresses(text, parts):
    assert split_address(convert_value("x", Address(), text)) == parts


@pytest.mark.parametrize(
    "text",
    [
        "5050",
        "localhost",
        "localhost:",
        ":5050",
        "localhost:²",
        "localhost:0",
        "localhost:65536",
        "localhost:99999999999999999999",
        "a..b:5050",
        "-a:5050",
        "a b:5050",
        "[::g]:5050",
        "[]:80",
        "a:-1",
        "",
        "a:+1",
        "http://a:5050",
        "a" * 64 + ":5050",
        "a." * 200 + "b:5050",
        "\x00:5050",
        "bücher:5050",
    ],
)
def test_no_addresses(text):
    with pytest.raises(UserError, match="x must be an address like HOST:5050, with a port from 1 to 65535"):
        convert_value("x", Address(), text)


def cluster(**changes):
    found = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    return json.dumps({**found, **changes})


def test_a_cluster():
    expected = Cluster({"worker": ["a:1", "b:1"]}, Task("worker", 1))
    assert read_cluster(cluster()) == expected
    assert read_cluster(cluster(task={"type": "worker", "index": "1"})) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "it is not set"),
        ("", "truncated"),
        ("{", "truncated"),
        ("\udcff", "surrogates|codec"),
        ("[]", "Expected `object`, got `array`"),
        ("null", "got `null`"),
        (json.dumps({"cluster": {"worker": ["a:1"]}}), "missing required field `task`"),
        (cluster(cluster=[]), "Expected `object`, got `array` - at `\\$.cluster`"),
        (cluster(cluster={"worker": "a:1"}), "Expected `array`, got `str`"),
        (cluster(cluster={"worker": [1, 2]}), "Expected `str`, got `int`"),
        (cluster(cluster={"worker": ["a:1", "b"]}), "'b' is not an address like HOST:5050"),
        (cluster(cluster={"worker": ["a:1", "b:99999"]}), "'b:99999' is not an address"),
        (cluster(cluster={"worker": ["a:1", "a:1"]}), "an address stands there twice"),
        (
            cluster(cluster={"worker": ["a:1", "b:1"], "ps": ["c:1"]}),
            "the type 'ps' is not one of chief, work",
        ),
        (cluster(task={"type": "worker", "index": 2}), "the cluster has no worker 2"),
        (cluster(task={"type": "worker", "index": -1}), "the cluster has no worker -1"),
        (cluster(task={"type": "chief", "index": 0}), "the cluster has no chief 0"),
        (cluster(task={"type": 3, "index": 0}), "Expected `str`, got `int`"),
        (cluster(task={"type": "worker", "index": "x"}), "Expected `int`, got `str`"),
    ],
)
def test_what_is_no_cluster_is_refused_with_an_example(text, reason):
    with pytest.raises(UserError, match=r"need TF_CONFIG .* such as \{.*\}; bnn launch sets it.*" + reason):
        read_cluster(text)

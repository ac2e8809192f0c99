"""Genotypes of BNAS: as files, and those that describe no cell."""

import json

import pytest

import zoo
from bnn_keras.errors import UserError
from bnn_keras.search.genotypes import Genotype
from zoo import genotype, registry

OWN = {
    "normal": ("conv3 1", "avg 0", "conv5 2", "none 0", "dil5 1", "max 3", "dil3 0", "conv3 4"),
    "reduction": ("max 0", "conv3 1", "none 2", "none 1", "dil3 0", "conv3 2", "avg 4", "conv3 0"),
}


@pytest.mark.parametrize("cells", [OWN, genotype.CIFAR10, genotype.IMAGENET])
def test_a_file_has_what_was_written(cells, tmp_path):
    file = tmp_path / genotype.FILE
    file.write_text(json.dumps(cells))
    assert genotype.read(file) == genotype.read(str(file)) == cells
    assert genotype.read(tmp_path) == cells  # the run folder of a search


def test_a_file_may_say_what_a_search_reached(tmp_path):
    (tmp_path / "g.json").write_text(Genotype(OWN, 7, 0.625).to_json())
    assert json.loads((tmp_path / "g.json").read_text())["held_out_accuracy"] == 0.625
    assert genotype.read(tmp_path / "g.json") == OWN


def changed(form, number, edge):
    """The text of a file with another edge."""
    edges = list(genotype.CIFAR10[form])
    edges[number] = edge
    return json.dumps({**genotype.CIFAR10, form: edges})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("normal: conv3 1", "g.json is not a whole JSON file: Expecting value"),
        (
            "[]",
            "does not hold a genotype .keys: normal, reduction, epoch, held_out_accuracy.: Expected object",
        ),
        (json.dumps({"normal": ["conv3 1"] * 8}), "missing required field reduction"),
        (json.dumps({**OWN, "reduce": []}), "unknown field reduce"),
        (json.dumps({**OWN, "normal": [["conv3", 1]]}), r"Expected str, got array at normal\[0\]"),
        (json.dumps({**OWN, "normal": "conv3 1"}), "Expected array, got str at normal"),
        (
            changed("normal", 2, "conv7 1"),
            "holds no genotype: Node 3 of normal takes one of none, max, avg, ",
        ),
        (changed("reduction", 0, "max 2"), "an earlier node from 0 to 1. Received: 'max 2'"),
        (changed("normal", 7, "conv3 4"), "Node 5 of normal takes node 4, which has no input but none"),
        (json.dumps({**OWN, "normal": ["none 0"] * 8}), "normal needs an operation other than none"),
        (
            json.dumps({**OWN, "reduction": OWN["reduction"][:6]}),
            "eight in all. Received: 6 operations",
        ),
        (" " * 2**17, "g.json is too large"),
    ],
)
def test_a_file_without_a_genotype_is_refused(text, message, tmp_path):
    (tmp_path / "g.json").write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        genotype.read(tmp_path / "g.json")
    assert "g.json" in str(raised.value)


@pytest.mark.parametrize("name", ["g.json", "."])
def test_a_file_that_is_missing(name, tmp_path):
    with pytest.raises(UserError, match="Cannot read .*json: No such file"):
        genotype.read(tmp_path / name)


@pytest.fixture
def asked(monkeypatch):
    """The options of the cells that networks ask for, which are left out of these networks."""
    found = []
    monkeypatch.setattr(zoo.bnas, "Cell", lambda **options: found.append(options) or (lambda a, b: b))
    return found


def test_a_network_takes_its_cells_from_a_file(tmp_path, asked):
    (tmp_path / "g.json").write_text(json.dumps(OWN))
    thin = {"cells": 3, "channels": 4}
    from_file = zoo.build("bnas", (32, 32, 3), 4, genotype=tmp_path / "g.json", **thin)
    zoo.build("bnas", (32, 32, 3), 4, **OWN, **thin)
    assert from_file.name == "bnas"
    assert len(asked) == 6 and asked[:3] == asked[3:] and asked[0] != asked[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "bnas has no cells of its own: give their genotype .* or the settings normal and reduction"),
        ({"normal": OWN["normal"]}, "Received: no reduction"),
        ({"genotype": OWN}, "genotype names a JSON file, or the run folder of a search. Received: {'normal'"),
        ({"genotype": "FILE", "normal": OWN["normal"]}, "genotype gives normal already: leave out one"),
    ],
)
def test_what_bnas_needs(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text(json.dumps(OWN))
    with pytest.raises(UserError, match=message):
        zoo.build("bnas", (32, 32, 3), 4, **settings)


def test_published_networks_have_their_own_cells():
    with pytest.raises(UserError, match="Unknown setting of bnas_a 'genotype'"):
        zoo.build("bnas_a", (32, 32, 3), 4, genotype="g.json")


@pytest.mark.parametrize(("stem", "name"), [("thumbnail", "bnas_a"), ("conv3x3", "bnas_d")])
def test_the_usual_size_is_that_of_a_or_d(stem, name, asked):
    zoo.build("bnas", (32, 32, 3), 4, stem=stem, **OWN)
    usual = registry.variant(name)
    assert (len(asked), asked[0]["filters"]) == (usual["cells"], usual["channels"])

"""The drawing of cells: every edge with its operation, the shortcut where there is one."""

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from bnn_keras.search import picture
from zoo import bnas_search, genotype


@pytest.fixture
def drawn(monkeypatch):
    """Draws the published cells, and returns the panels."""
    seen = []
    make = Figure.subplots
    monkeypatch.setattr(Figure, "subplots", lambda *a, **k: seen.append(make(*a, **k)) or seen[-1])

    def draw(**options):
        seen.clear()
        png = picture.draw(genotype.IMAGENET, bnas_search.space(), **options)
        return png, list(seen[0][:, 0])

    return draw


def test_every_edge_and_node(drawn):
    png, panels = drawn()
    assert png.startswith(b"\x89PNG")
    assert [axes.get_title() for axes in panels] == ["normal cell", "reduction cell"]
    for axes, edges in zip(panels, genotype.IMAGENET.values(), strict=True):
        texts = [text.get_text() for text in axes.texts]
        assert texts[:8] == [edge.split()[0] for edge in edges]
        assert texts[8:] == ["$c_{k-2}$", "$c_{k-1}$", "2", "3", "4", "5", "$c_k$"]
        assert len(axes.patches) == 8 + 4  # the edges, and those to the output


def test_zeroise_is_dotted(monkeypatch, drawn):
    _, (normal, _) = drawn()
    assert {patch.get_linestyle() for patch in normal.patches} == {"-"}
    monkeypatch.setattr(genotype, "IMAGENET", genotype.CIFAR10)
    _, (normal, _) = drawn()
    styles = [patch.get_linestyle() for patch in normal.patches]
    assert styles[:8] == [":" if edge.startswith("none") else "-" for edge in genotype.CIFAR10["normal"]]


def test_the_shortcut_is_red_and_only_where_there_is_one(drawn, tmp_path):
    assert [len(axes.lines) for axes in drawn()[1]] == [1, 1]
    assert [len(axes.lines) for axes in drawn(has_shortcut=False)[1]] == [0, 0]
    (tmp_path / "a.png").write_bytes(drawn()[0])
    pixels = image.imread(tmp_path / "a.png")[..., :3]
    assert (np.abs(pixels - (0xC0 / 255, 0x39 / 255, 0x2B / 255)).max(-1) < 0.02).sum() > 100

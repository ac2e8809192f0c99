"""PyTorch checkpoints: what is read, and every way in which one does not fit."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import zoo
from bnn_keras import cli, weights
from bnn_keras.errors import UserError
from bnn_keras.nn import quantizers
from bnn_keras.weights import loading, torch_file, torch_names
from tests.networks import images, randomise
from zoo.checkpoints import bnext

WIDTHS = (16, 32, 32)
NAMES = bnext.naming({})


def small(classes=10, widths=WIDTHS):
    return randomise(zoo.build("bnext_t", (32, 32, 3), classes, widths=widths))


def theirs(entry, array):
    """One of our arrays in their layout."""
    if array.ndim == 4 and array.shape[:3] != (1, 1, 1):
        return array.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1].copy()
    return np.array((array.T if array.ndim == 2 else array).reshape(entry.shape))


def state_of(model):
    """The state dict that their code would save of our network."""
    state = {}
    for layer in model.layers:
        if layer.weights:
            entries = torch_names.entries(layer, NAMES.module(layer.name))
            state |= {e.key: theirs(e, a) for e, a in zip(entries, layer.get_weights(), strict=True)}
            if isinstance(layer, tf.keras.layers.BatchNormalization):
                state[f"{NAMES.module(layer.name)}.num_batches_tracked"] = np.array(3, np.int64)
    state["feature.0.prelu.weight"] = np.zeros(16)
    state["feature.1.Attention.activation1.weight"] = np.zeros(16)
    state["feature.1.Attention.binary_activation.temperature"] = np.ones(1)
    return state


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is an optional extra")


@pytest.fixture(scope="module")
def model():
    found = small()
    for layer in found.layers:
        if layer.name.endswith("/mix"):
            layer.share.assign(np.random.default_rng(0).uniform(0, 1, layer.share.shape))
    return found


@pytest.fixture(scope="module")
def taker():
    """A network for files that do not fit it, and change nothing."""
    return small()


def save(torch, path, state, **more):
    state = {key: torch.tensor(value) for key, value in state.items()}
    torch.save({"state_dict": state, **more} if more else state, path)
    return path


def test_a_checkpoint_gives_the_network_it_was_saved_from(torch, model, tmp_path):
    for quantizer in quantizers.progressive(model):
        quantizer.temperature.assign(0.25)
    state = {f"module.{key}": value for key, value in state_of(model).items()}
    path = save(torch, tmp_path / "c.pth.tar", state, epoch=7, best_top1_acc=np.float32(61.5), alpha=None)
    other = small()
    assert weights.load(other, path) == f"weights from {path} (epoch 7, best_top1_acc 61.5)"
    np.testing.assert_array_equal(other(images(2, 32)), model(images(2, 32)))
    assert {float(q.temperature) for q in quantizers.progressive(other)} == {0.25}


def test_a_bare_state_dict_of_other_classes_gets_a_new_head(torch, model, tmp_path):
    path = save(torch, tmp_path / "c.pt", state_of(model))
    other = small(classes=3)
    before = other.get_layer("head").get_weights()
    said = weights.load(other, path, new_head=True)
    assert "with a new head (the file's has 10 classes)" in said
    np.testing.assert_array_equal(other.get_layer("head").get_weights()[0], before[0])
    np.testing.assert_array_equal(
        other.get_layer("block1_3x3/bias").bias, model.get_layer("block1_3x3/bias").bias
    )
    with pytest.raises(UserError, match="'fc.weight'"):
        weights.load(other, path)


def remove(state):
    del state["feature.2.FFN.norm1.running_mean"]


def add(state):
    state["feature.1.extra.weight"] = np.zeros(3)


def reshape(state):
    state["feature.2.Attention.scale"] = np.zeros((1, 8, 1, 1))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (remove, "lacks the key 'feature.2.FFN.norm1.running_mean' of bnext_t"),
        (add, "has the key 'feature.1.extra.weight', which bnext_t does not"),
        (reshape, "at the key 'feature.2.Attention.scale': it holds (1, 8, 1, 1), needed is (1, 32, 1, 1)"),
    ],
)
def test_the_first_key_that_does_not_fit_is_named_and_nothing_changes(
    torch, model, taker, tmp_path, damage, sentence
):
    state = state_of(model)
    damage(state)
    path = save(torch, tmp_path / "c.pth", state)
    before = taker.get_weights()
    with pytest.raises(UserError) as error:
        weights.load(taker, path)
    assert sentence in str(error.value) and "looks like a BNext of other widths" in str(error.value)
    for a, b in zip(before, taker.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["bnext_t", "bnext_s", "bnext_m", "bnext_l"])
def test_the_released_sizes_are_recognised(name):
    widths = zoo.bnext.VARIANTS[name]["widths"]
    state = {f"feature.{i}.x": np.zeros(1) for i in range(len(widths))}
    state["feature.0.conv1.weight"] = np.zeros((widths[0], 3, 3, 3))
    assert bnext.identify(state) == name


def test_another_papers_checkpoint_is_named(torch, taker, tmp_path):
    path = save(
        torch, tmp_path / "c.pth", {"layer0.0.Attention.binary_conv.weight": np.zeros((64, 64, 3, 3))}
    )
    with pytest.raises(UserError, match="lacks the key .*bnext_t: it looks like bnext18"):
        weights.load(taker, path)
    image = tf.keras.Input((8, 8, 3))
    melius = tf.keras.Model(image, tf.keras.layers.Conv2D(2, 1)(image), name="meliusneta")
    with pytest.raises(UserError, match="no such checkpoints are known of meliusneta: it looks like bnext18"):
        weights.load(melius, path)
    path = save(torch, tmp_path / "d.pth", {"transformer.weight": np.zeros(3)})
    with pytest.raises(UserError, match="no network that is known here"):
        weights.load(taker, path)


@pytest.mark.parametrize("elm", [True, False])
def test_a_network_without_element_wise_attention_does_not_take_one_with_it(
    torch, model, taker, tmp_path, elm
):
    state = state_of(model)
    state["feature.2.Attention.activation1.weight"] = np.zeros(32)
    if elm:
        state = {key.replace("Attention", "FFN_3x3"): value for key, value in state.items()}
    path = save(torch, tmp_path / "c.pth", state)
    other = taker if elm else zoo.build("bnext_t", (32, 32, 3), 10, widths=WIDTHS, elm_attention=False)
    with pytest.raises(UserError, match=r"feature\.2\.(Attention|FFN_3x3)"):
        weights.load(other, path)


def test_shares_are_those_that_the_code_evaluates_with():
    beyond = np.array([-0.5, 0.5, 1.5]).reshape(1, 3, 1, 1)
    for module in ("feature.1.FFN", "feature.1.FFN_1", "layer0.1.FFN"):
        assert bnext.evaluated(f"{module}.scale", beyond).ravel().tolist() == [0, 0.5, 1]
    for module in ("feature.1.Attention", "layer0.1.Attention"):
        assert bnext.evaluated(f"{module}.scale", beyond).ravel().tolist() == [-0.5, 0.5, 1.5]


def test_truncated_files_and_other_files(torch, model, taker, tmp_path):
    whole = save(torch, tmp_path / "c.pth.tar", state_of(model), epoch=1).read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 100):
        path = tmp_path / f"cut{length}.pth.tar"
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="is not a whole PyTorch checkpoint|is no checkpoint"):
            weights.load(taker, path)
    path = tmp_path / "list.pth"
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="holds neither a state dict"):
        weights.load(taker, path)
    with pytest.raises(UserError, match=r"No such file.*\.pth"):
        weights.load(taker, tmp_path / "none.pth")


class Code:
    """What a malicious pickle holds."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_that_holds_code_is_refused_and_not_run(torch, taker, tmp_path, how):
    path, made = tmp_path / "c.pth.tar", tmp_path / "made"
    if how == "torch":
        torch.save({"state_dict": Code(made)}, path)
    else:
        path.write_bytes(pickle.dumps(Code(made)))
    with pytest.raises(UserError, match="holds more than numbers, and might run code|not a whole PyTorch"):
        weights.load(taker, path)
    assert not made.exists()


def test_without_torch_the_sentence_says_how_to_get_it(monkeypatch, taker, tmp_path):
    (tmp_path / "c.pth.tar").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        UserError, match=r"takes torch, which is not installed: pip install 'bnn-keras\[torch\]'"
    ):
        weights.load(taker, tmp_path / "c.pth.tar")


def test_names_of_files():
    assert torch_file.is_torch(Path("checkpoint.pth.tar")) and not torch_file.is_torch(Path("m.keras"))
    assert ".pth.tar" in loading.VALID


def test_convert_reads_a_checkpoint(torch, tmp_path, capsys):
    widths = (16, 16)
    path = save(torch, tmp_path / "c.pth.tar", state_of(small(widths=widths)), epoch=3)
    output = tmp_path / "m.tflite"
    arguments = [
        "--model=bnext_t",
        f"--weights={path}",
        "--classes=10",
        "--image_size=32",
        f"--output={output}",
    ]
    assert cli.run(["convert", *arguments, f"--set=widths={widths}", "--images=1"]) == 0
    assert "2 of 2 binary layers are LceBconv2d" in capsys.readouterr().out
    assert cli.run(["convert", *arguments, "--set=widths=8,8"]) == 2
    assert "looks like a BNext of other widths" in capsys.readouterr().err

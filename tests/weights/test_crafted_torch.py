"""PyTorch checkpoints that an attacker would make: each is refused in one sentence, and nothing is run."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bnn_keras.errors import UserError
from bnn_keras.weights import torch_file

torch = pytest.importorskip("torch", reason="torch is an optional extra")


class Calls:
    """A pickle that calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def saved(value, **options):
    content = io.BytesIO()
    torch.save({"x": value}, content, **options)
    return content.getvalue()


def repacked(content, name_ends, method=zipfile.ZIP_STORED, add=b""):
    """The archive, with a change to one of its members."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + add * name.endswith(name_ends))
    return changed.getvalue()


def stored_beyond():
    storage = torch.zeros(4).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    return Calls(torch._utils._rebuild_tensor_v2, typed, 0, (2**33,), (1,), False, {})


TENSORS = {
    "sparse": lambda: saved(torch.eye(3).to_sparse()),
    "compressed": lambda: saved(torch.eye(3).to_sparse_csr()),
    "quantized": lambda: saved(torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8)),
    "complex": lambda: saved(torch.ones(3, dtype=torch.complex64)),
    "bfloat16": lambda: saved(torch.ones(3, dtype=torch.bfloat16)),
    "float8": lambda: saved(torch.ones(3).to(torch.float8_e4m3fn)),
    "without values": lambda: saved(torch.ones(3, device="meta")),
    "shown many times": lambda: saved(torch.ones(1).expand(2**33)),
    "beyond its storage": lambda: saved(stored_beyond()),
    "no tensor": lambda: saved("text"),
    "a module": lambda: saved(torch.nn.Linear(2, 2)),
    "a call": lambda: saved(Calls(os.mkdir, "made")),
    "an evaluation": lambda: saved(Calls(eval, "1")),
    "an old file with a call": lambda: saved(Calls(os.mkdir, "made"), _use_new_zipfile_serialization=False),
    "a plain pickle": lambda: pickle.dumps({"x": Calls(os.mkdir, "made")}, 2),
    "a broken type of numbers": lambda: saved(Calls(np.dtype, "O", False, True)),
    "packed": lambda: repacked(saved(torch.ones(3)), "data.pkl", zipfile.ZIP_DEFLATED),
    "more in a member": lambda: repacked(saved(torch.ones(3)), "/0", add=b"more"),
    "cut": lambda: saved(torch.ones(3))[:-30],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("what", TENSORS)
def test_pytorch_checkpoints_of_other_things(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    Path("c.pth").write_bytes(TENSORS[what]())
    with pytest.raises(UserError) as error:
        torch_file.read_state(Path("c.pth"))
    assert len(str(error.value).splitlines()) == 1
    assert os.listdir() == ["c.pth"]

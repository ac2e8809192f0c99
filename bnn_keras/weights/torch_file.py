"""PyTorch checkpoints as NumPy arrays, read without running what they might carry."""

import io
import math
import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from bnn_keras import files
from bnn_keras.errors import UserError

SUFFIXES = (".pth", ".pt", ".tar")  # the last for .pth.tar
STATE = "state_dict"
PARALLEL = "module."  # what DataParallel puts before every key
NOTES = ("epoch", "best_top1_acc")
# Before this version, a crafted file could run code even with weights_only (CVE-2025-32434, CVE-2026-24747).
FIRST_SAFE_TORCH = (2, 10)
AT_MOST = 2**33  # bytes
MEMBERS_AT_MOST = 100_000
ZIP_SIGNATURE = b"PK"
# What torch.load raises for a damaged file.
DAMAGES = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
)


class _NumberType:
    """Stands for `numpy.dtype` in a pickle; that class itself can be given a state that breaks NumPy.

    Args:
        name: of the type.
    """

    def __init__(self, name: str, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


def _number(kind: _NumberType, content: bytes) -> float:
    """Stands for the function that makes a NumPy number in a pickle."""
    if kind.name not in ("f4", "f8", "i8"):
        raise ValueError(f"a number of the type {kind.name!r}")
    return float(np.frombuffer(content, f"<{kind.name}", count=1)[0])


STAND_INS: list[Any] = [
    (_NumberType, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),  # written with NumPy 2
]


def is_torch(path: Path) -> bool:
    """Whether a file's name says that PyTorch wrote it."""
    return path.suffix in SUFFIXES


def read_state(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The state dict of a checkpoint, and what else it says about itself.

    Args:
        path: of a state dict, or of a dictionary with one as its `state_dict`.

    Returns:
        The arrays by key, without the prefix of DataParallel; and words such as "epoch 511".

    Raises:
        UserError: torch is not installed, or the file is damaged, holds code, holds no state dict, or one
            of other values than dense numbers.
    """
    content = _load(path)
    state = content.get(STATE, content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(map(_is_tensor, state.values())):
        raise UserError(
            f"{path} is no checkpoint: it holds neither a state dict nor a dictionary with a {STATE!r}."
        )
    arrays = {
        str(key).removeprefix(PARALLEL): _array(tensor, str(key), path) for key, tensor in state.items()
    }
    notes = [f"{note} {float(content[note]):g}" for note in NOTES if _is_number(content.get(note))]
    return arrays, ", ".join(notes)


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"Reading the PyTorch checkpoint {path} takes torch, which is not installed: "
            f"pip install 'bnn-keras[torch]'."
        ) from error
    if tuple(int(number) for number in torch.__version__.split(".")[:2]) < FIRST_SAFE_TORCH:
        raise UserError(
            f"Reading {path} takes torch 2.10 or later: with earlier ones a checkpoint can run code. "
            f"Received: torch {torch.__version__}."
        )
    content = _checked(files.read_bytes(path, AT_MOST), path)
    # The released training saves its accuracies as numbers of NumPy.
    with torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unusual pickles
        try:
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise UserError(_refusal(path, str(error))) from error
        except DAMAGES as error:
            raise UserError(f"{path} is not a whole PyTorch checkpoint: {_first_line(error)}.") from error


def _checked(content: bytes, path: Path) -> bytes:
    """The content, if it promises no more than it holds: PyTorch's archives are not packed."""
    if not content.startswith(ZIP_SIGNATURE):
        return content  # the form before PyTorch 1.6, a series of pickles
    try:
        members = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise UserError(f"{path} is not a whole PyTorch checkpoint: {_first_line(error)}.") from error
    names = {member.filename for member in members}
    is_packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    size = sum(member.file_size for member in members)
    if is_packed or size > len(content) or len(names) < len(members) or len(members) > MEMBERS_AT_MOST:
        raise UserError(f"{path} is refused: it is packed in another way than PyTorch packs its checkpoints.")
    return content


def _array(tensor: Any, key: str, path: Path) -> np.ndarray:
    """A tensor of dense numbers as an array."""
    import torch

    is_dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not is_dense or tensor.is_complex() or tensor.dtype == torch.bfloat16:
        kind = f"{tensor.dtype}, {tensor.layout}, {tensor.device.type}"
        raise UserError(f"{path} is refused: its {key!r} is no array of plain numbers ({kind}).")
    # A view can show one number any number of times.
    if math.prod(tensor.shape) * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UserError(f"{path} is refused: its {key!r} is larger than what is stored.")
    try:
        return tensor.detach().numpy()
    except (RuntimeError, TypeError) as error:
        raise UserError(
            f"{path} is refused: its {key!r} is no array of plain numbers ({_first_line(error)})."
        ) from error


def _refusal(path: Path, reason: str) -> str:
    # torch surrounds what it found with advice, such as to read the file without its restrictions.
    found = re.search(r"Unsupported (global|class).*", reason)
    if found:
        what = found.group().rstrip(".")
        return f"{path} is refused: it is a pickle that holds more than numbers, and might run code ({what})."
    fault = reason.rpartition("WeightsUnpickler error: ")[2]
    return f"{path} is not a whole PyTorch checkpoint: {_first_line(fault)}."


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _is_tensor(value: object) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numpy")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) or (_is_tensor(value) and value.numel() == 1)

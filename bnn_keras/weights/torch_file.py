"""PyTorch checkpoints as NumPy arrays, read without running what they might carry."""

import contextlib
import pickle
import re
import struct
import zipfile
from pathlib import Path

import numpy as np

from bnn_keras.errors import UserError

SUFFIXES = (".pth", ".pt", ".tar")  # the last for .pth.tar
STATE = "state_dict"
PARALLEL = "module."  # what DataParallel puts before every key
NOTES = ("epoch", "best_top1_acc")


def is_torch(path: Path) -> bool:
    """Whether a file's name says that PyTorch wrote it."""
    return path.suffix in SUFFIXES


def read(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The state dict of a checkpoint, and what else it says about itself.

    Args:
        path: of a state dict, or a dictionary with one as its `state_dict`.

    Returns:
        The arrays by key, without the prefix of DataParallel; and words such as "epoch 511".

    Raises:
        UserError: torch is not installed, or the file is damaged, holds code, or no state dict.
    """
    content = _load(path)
    state = content.get(STATE, content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(map(_is_array, state.values())):
        raise UserError(
            f"{path} is no checkpoint: it holds neither a state dict nor a dictionary with a {STATE!r}."
        )
    arrays = {str(key).removeprefix(PARALLEL): value.detach().numpy() for key, value in state.items()}
    notes = [f"{note} {float(content[note]):g}" for note in NOTES if _is_number(content.get(note))]
    return arrays, ", ".join(notes)


def _load(path: Path):
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"Reading the PyTorch checkpoint {path} takes torch, which is not installed: "
            f"pip install 'bnn-keras[torch]'."
        ) from error
    with contextlib.ExitStack() as stack:
        # Data, not code: the released training saves its accuracies as they come.
        stack.enter_context(torch.serialization.safe_globals(_numbers()))
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise UserError(_refusal(path, str(error))) from error
        except (
            RuntimeError,
            EOFError,
            OSError,
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            struct.error,
            zipfile.BadZipFile,
        ) as error:
            raise UserError(f"{path} is not a whole PyTorch checkpoint: {_first_line(error)}.") from error


def _refusal(path: Path, reason: str) -> str:
    # torch surrounds what it found with advice.
    found = re.search(r"Unsupported (global|class).*", reason)
    if found:
        what = found.group().rstrip(".")
        return f"{path} is refused: it is a pickle that holds more than numbers, and might run code ({what})."
    return f"{path} is not a whole PyTorch checkpoint: {_first_line(reason)}."


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _numbers() -> list:
    """What a NumPy number is made of in a pickle."""
    kinds = (np.float32, np.float64, np.int64)
    scalar = np.core.multiarray.scalar  # type: ignore[attr-defined]
    return [scalar, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]


def _is_array(value) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numpy")


def _is_number(value) -> bool:
    return isinstance(value, (int, float, np.number)) or (_is_array(value) and value.numel() == 1)

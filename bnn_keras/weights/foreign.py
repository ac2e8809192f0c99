"""Readers of other code bases' checkpoints, registered by whoever builds the same networks."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from bnn_keras.weights.hdf5_file import Group
from bnn_keras.weights.torch_names import Naming

TorchNaming = Callable[[Mapping[str, np.ndarray]], Naming]
Hdf5Reader = Callable[[Group, Path], dict[str, list[np.ndarray]]]

torch_namings: list[TorchNaming] = []
hdf5_readers: list[Hdf5Reader] = []


def register_torch_naming(naming: TorchNaming) -> None:
    """Let `load` read the PyTorch checkpoints of a code base.

    Args:
        naming: gives, for a state dict, the `Naming` of our layers in that code base.
    """
    if naming not in torch_namings:
        torch_namings.append(naming)


def register_hdf5_reader(read: Hdf5Reader) -> None:
    """Let `load` read the .h5 files of a code base.

    Args:
        read: gives the weights in the file's outermost group by our layers' names, in the file's order.
            It raises UserError for a file that it does not know.
    """
    if read not in hdf5_readers:
        hdf5_readers.append(read)

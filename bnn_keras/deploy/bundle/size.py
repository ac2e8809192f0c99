"""How large a portable file is beside one for LCE, which stores binary kernels as bits."""

import dataclasses

import tensorflow as tf

from bnn_keras import deploy
from bnn_keras.deploy.conversion.hardening import harden
from bnn_keras.errors import UserError
from bnn_keras.settings.runtime import LCE


@dataclasses.dataclass(frozen=True)
class Size:
    """The bytes of a portable file.

    Args:
        file: all of them.
        lce: of the file for LCE of the same network; None if LCE cannot convert it.
    """

    file: int
    lce: int | None

    @property
    def sentence(self) -> str:
        """In words."""
        says = "portable: no custom operations, for any TFLite or LiteRT runtime"
        if self.lce is None:
            return f"{says}; LCE cannot convert this network"
        return (
            f"{says}; {self.file:,} bytes, {self.file / self.lce:.2f} times the {self.lce:,} bytes of the "
            f"file for LCE"
        )

    def for_manifest(self) -> dict:
        """As the manifest holds it."""
        return {"custom_operations": 0, "bytes_of_the_file_for_lce": self.lce}


def measure(model: tf.keras.Model, flatbuffer: bytes, options: deploy.Options) -> Size:
    """Measure a portable file. The network is converted for LCE too, and that file is not checked.

    Args:
        model: that was converted.
        flatbuffer: the file.
        options: that it was converted with.
    """
    try:
        lce = len(deploy.to_flatbuffer(harden(model), options=deploy.Options(LCE, options.skip)))
    except UserError:
        return Size(len(flatbuffer), None)
    return Size(len(flatbuffer), lce)

"""Signs as LCE packs them into bits."""

import numpy as np

WORD = 32  # LCE packs the input channels of a binary kernel into words of 32 bits


def pack_signs(kernel: np.ndarray) -> np.ndarray:
    """Pack the signs of a kernel as LCE does.

    Args:
        kernel: [height, width, input channels, output channels].

    Returns:
        int32 [output channels, height, width, words of 32 input channels], a bit set where negative.
    """
    negative = np.moveaxis(kernel < 0, -1, 0)
    spare = -negative.shape[-1] % WORD
    negative = np.pad(negative, [(0, 0)] * 3 + [(0, spare)])
    packed = np.packbits(negative, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<i4")


def unpack_bits(words: np.ndarray, channels: int) -> np.ndarray:
    """The bits that `pack_signs` packed, bool [output channels, height, width, input channels]."""
    return np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")[..., :channels].astype(bool)

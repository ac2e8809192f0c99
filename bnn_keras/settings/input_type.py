"""The types of the image that a file takes."""

from typing import Final

FLOAT32: Final = "float32"
UINT8: Final = "uint8"  # as a camera gives it
INPUT_TYPES = (FLOAT32, UINT8)

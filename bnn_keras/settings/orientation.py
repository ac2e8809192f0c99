"""Which way up a network takes its image."""

from typing import Final

UPRIGHT: Final = "upright"
UPSIDE_DOWN: Final = "upside_down"
ORIENTATIONS = (UPRIGHT, UPSIDE_DOWN)

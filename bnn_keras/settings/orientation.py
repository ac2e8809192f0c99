"""Which way up a network takes its image."""

UPRIGHT, UPSIDE_DOWN = ORIENTATIONS = ("upright", "upside_down")

"""The bits of weights and activations, as BNext's Table 7 writes them: "4/8" is W/A."""

import dataclasses

from bnn_keras.settings.kinds import Text

LEAST, MOST, FLOAT = 2, 8, 32
BETWEEN = "-"  # the layers of a part, in their order
CALIBRATION_IMAGES = 256  # that the ranges of activations come from, unless told otherwise
LARGEST_LOSS = 0.5  # points of accuracy that a file may lose
# Of squeeze-and-expand branches in a file. LCE's runtime has convolutions of 8 bits with weights of 4.
BRANCH_BITS = ("4/8", "8/8")
NOTE = "bnn_keras.quantize"  # name of the plan in a file


@dataclasses.dataclass(frozen=True)
class Bits:
    """Bits of the weights and the activations of a layer; 32 leaves them as they are."""

    weights: int
    activations: int

    def __str__(self) -> str:
        return f"{self.weights}/{self.activations}"


@dataclasses.dataclass(frozen=True)
class BitsText(Text):
    """W/A, or W/A-W/A for the layers of a part in their order; the last one is that of all further layers."""

    valid: str = (
        f"bits of weights/activations, each {LEAST} to {MOST} or {FLOAT}, such as 4/8, or 4/8-4/4 for the "
        f"first and the further layers"
    )

    def convert(self, value: object) -> str:
        """The text; ValueError if it is none."""
        text = super().convert(value)
        parse_bits(text)
        return text


def parse_bits(text: str) -> tuple[Bits, ...]:
    """The bits that a text stands for, by the places of layers; ValueError if it stands for none."""
    return tuple(map(_parse, text.split(BETWEEN)))


def _parse(text: str) -> Bits:
    numbers = text.split("/")
    valid = {str(number): number for number in (*range(LEAST, MOST + 1), FLOAT)}
    if len(numbers) != 2 or not set(numbers) <= set(valid):
        raise ValueError
    return Bits(*(valid[number] for number in numbers))


@dataclasses.dataclass(frozen=True)
class Plan:
    """Bits for each part of a network.

    Args:
        parts: the text of the bits (`BitsText`) by part (`bnn_keras.nn.parts.PARTS`); other parts keep 32.
    """

    parts: dict[str, str]

    def bits_of(self, part: str, number: int) -> Bits:
        """The bits of a layer.

        Args:
            part: that it belongs to.
            number: its place in the part, counted from 0.
        """
        found = parse_bits(self.parts.get(part, f"{FLOAT}/{FLOAT}"))
        return found[min(number, len(found) - 1)]

    def __str__(self) -> str:
        return ", ".join(f"{part} {bits}" for part, bits in self.parts.items())

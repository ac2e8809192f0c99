"""RandAugment's policy (Cubuk et al., 2020) in the notation of timm."""

import dataclasses
import re

from bnn_keras.errors import UserError

EXAMPLE = "rand-m7-mstd0.5-inc1-n2-p0.5"
SECTION = re.compile(r"(mstd|mmax|inc|m|n|p)(\d+(?:\.\d+)?)")
WHOLE = {"m", "mmax", "n", "inc"}  # sections that take a whole number


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """A policy.

    Args:
        magnitude: of the operations; 10 is the full range (m).
        noise: standard deviation of the magnitude (mstd); above 100, the magnitude is uniform from 0
            to `magnitude`.
        limit: the largest magnitude after noise (mmax).
        count: operations drawn for an image, with replacement (n).
        probability: with which each of them is applied (p).
        increasing: whether the effect of every operation grows with the magnitude (inc1).
    """

    magnitude: int = 10
    noise: float = 0.0
    limit: int = 10
    count: int = 2
    probability: float = 0.5
    increasing: bool = False

    @classmethod
    def parse(cls, text: str) -> "RandAugment":
        """Read a policy as timm reads it.

        Args:
            text: "rand", followed by sections in any order, with dashes between them, such as
                "rand-m7-mstd0.5-inc1-n2-p0.5".

        Raises:
            UserError: the text is not in this notation, or a number is out of range.
        """
        given = _sections(text)
        # timm takes any number after inc for yes.
        if given.get("inc", "1") != "1":
            raise UserError(
                f"rand_augment has inc1 or no inc, since timm reads inc0 as inc1. Received: {text!r}."
            )
        policy = cls(
            magnitude=int(given.get("m", 10)),
            noise=float(given.get("mstd", 0)),
            limit=int(given.get("mmax", 0)) or 10,
            count=int(given.get("n", 2)),
            probability=float(given.get("p", 0.5)),
            increasing="inc" in given,
        )
        if policy.probability > 1:
            raise UserError(f"The probability p in rand_augment must be from 0 to 1. Received: {text!r}.")
        if policy.count < 1:
            raise UserError(f"The operations n in rand_augment must be at least 1. Received: {text!r}.")
        return policy


def _sections(text: str) -> dict[str, str]:
    """The number after each section's name."""
    first, *sections = text.split("-")
    found = [SECTION.fullmatch(section) for section in sections]
    given = {match[1]: match[2] for match in found if match}
    whole = all(given[key].isdigit() for key in WHOLE & set(given))
    if first != "rand" or len(given) < len(found) or not whole:
        raise UserError(
            f"rand_augment must read like {EXAMPLE!r}: sections m, mmax, n (whole numbers), mstd, p and "
            f"inc1, each at most once. Received: {text!r}."
        )
    return given

"""Numbers of instructions in words."""


def millions(number: float) -> str:
    """As text, in millions: with one decimal from 10 million up, below it with three digits."""
    return f"{number / 1e6:.1f}" if number >= 1e7 else f"{number / 1e6:.3g}"

"""Knowledge complexity: what a teacher's accuracy costs in parameters."""

import math

SMALL = 1e-8


def knowledge_complexity(params: int, accuracy: float) -> float:
    """BNext, section 4.1, equation 3: log10(1 + params / (accuracy * 10**6 + 10**-8)).

    The base of the logarithm and the scale of the accuracy are not printed; these give the ten
    scores of Table 8.

    Args:
        params: the teacher's trainable parameters.
        accuracy: its top-1 accuracy on the test set, a fraction.
    """
    return math.log10(1 + params / (accuracy * 1e6 + SMALL))

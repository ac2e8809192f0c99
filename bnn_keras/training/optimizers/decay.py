"""Weight decay that depends on the role of a weight (BNext, section 5.1)."""

import dataclasses

import tensorflow as tf

from bnn_keras.errors import one_of


def is_binary_kernel(variable: tf.Variable) -> bool:
    """Whether this is the latent weight of a binary kernel, which Larq marks by its precision."""
    return getattr(variable, "precision", None) == 1


# Which weights count as kernels. BNext's released code decides by the number of dimensions.
GROUPS = {"released": lambda variable: len(variable.shape) == 4, "binary": is_binary_kernel}


@dataclasses.dataclass(frozen=True)
class Decay:
    """The weight decay of each weight.

    Args:
        rate: of every weight outside the group.
        kernel_rate: of the weights in the group.
        groups: which weights are in the group: "released", every weight of rank 4; "binary", the
            binary kernels; None, none.

    Raises:
        UserError: an unknown group.
    """

    rate: float = 0.0
    kernel_rate: float | None = None
    groups: str | None = None

    def __post_init__(self) -> None:
        if self.groups is not None and self.groups not in GROUPS:
            raise one_of("decay_groups", self.groups, GROUPS)

    def rate_of(self, variable: tf.Variable) -> float:
        """The decay of a weight."""
        if self.groups is not None and self.kernel_rate is not None and GROUPS[self.groups](variable):
            return self.kernel_rate
        return self.rate

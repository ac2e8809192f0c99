"""Weight decay by the role of a weight (BNext, section 5.1)."""

import dataclasses

from bnn_keras.errors import one_of


def is_binary_kernel(variable) -> bool:
    """Whether the weight is the latent form of a binary kernel: its layer's quantizer says so."""
    return getattr(variable, "precision", None) == 1


# Which weights have the kernels' decay. The released BNext code goes by the number of dimensions.
GROUPS = {"released": lambda variable: len(variable.shape) == 4, "binary": is_binary_kernel}


@dataclasses.dataclass(frozen=True)
class Decay:
    """The decay of each weight.

    Args:
        rate: of all weights but the kernels.
        kernel_rate: of the kernels.
        groups: which weights are kernels: "released", every one of rank 4; "binary", the binary
            kernels; None, no one.

    Raises:
        UserError: another name of groups.
    """

    rate: float = 0.0
    kernel_rate: float | None = None
    groups: str | None = None

    def __post_init__(self):
        if self.groups is not None and self.groups not in GROUPS:
            raise one_of("decay_groups", self.groups, GROUPS)

    def of(self, variable) -> float:
        """The decay of a weight."""
        if self.groups is not None and self.kernel_rate is not None and GROUPS[self.groups](variable):
            return self.kernel_rate
        return self.rate

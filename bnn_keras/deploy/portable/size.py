"""How large a portable file is beside one for LCE, which stores binary kernels as bits."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Size:
    """The bytes of a portable file.

    Args:
        file: all of them.
        lce: of the file for LCE of the same network; None if LCE cannot convert it.
    """

    file: int
    lce: int | None

    @property
    def sentence(self) -> str:
        """In words."""
        says = "portable: no custom operations, for any TFLite or LiteRT runtime"
        if self.lce is None:
            return f"{says}; LCE cannot convert this network"
        return (
            f"{says}; {self.file:,} bytes, {self.file / self.lce:.2f} times the {self.lce:,} bytes of the "
            f"file for LCE"
        )

"""The runtimes that a file can be made for."""

from typing import Final

LCE: Final = "lce"  # TFLite's own kernels, with the binary ones of the Larq Compute Engine
LCE_XNNPACK: Final = "lce_xnnpack"  # the same with XNNPACK's kernels for what they support
BUILTIN: Final = "builtin"  # any TFLite or LiteRT runtime: no custom operations
BOTH: Final = "both"  # of a bundle, which then has two files: for LCE, and for any runtime
RUNTIMES = (LCE, LCE_XNNPACK, BUILTIN)

"""Running a TFLite file on this machine."""

from typing import Any

import larq_compute_engine as lce
import numpy as np


def interpreter(flatbuffer: bytes, threads: int = 2) -> lce.testing.Interpreter:
    """LCE's interpreter with the flags that are fast."""
    return lce.testing.Interpreter(flatbuffer, num_threads=threads, use_indirect_bgemm=True, use_xnnpack=True)


def run(flatbuffer: bytes, images: np.ndarray) -> Any:
    """What a file gives for each image: an array, or a list of them if it has several outputs."""
    return interpreter(flatbuffer).predict(images)

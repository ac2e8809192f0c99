"""The table of unit costs: ARM64 instructions by operation, kernels and processor.

Counted with the real kernels of the Larq Compute Engine 0.16, TFLite and XNNPACK, one thread: executed
instructions of single operations and of whole networks. Where one number per element did not explain several
counts, the cost is divided into parts that the kernel has: what it does for each multiply-accumulate
(MAC), for each row of consecutive values that it starts anew, and so on. The parts were fitted to the counts.

Instructions are not time: there are no caches and no cycles in them.
"""

import dataclasses

FLOAT, INT8 = "float", "int8"
# The columns of the table. Dot products are instructions of newer processors (Cortex-A76) for int8.
COLUMNS = ("tflite", "xnnpack", "tflite_dot", "xnnpack_dot")
# LCE's binary kernels take three instructions (eor, cnt, add) for 128 binary MACs, and at least those.
FLOOR_PER_BINARY_MAC = 3 / 128

# The largest number of tensors that XNNPACK joins or splits; beyond it TFLite's kernels run.
MOST_JOINED, MOST_SPLIT = 4, 4


@dataclasses.dataclass(frozen=True)
class Costs:
    """Instructions for one unit.

    Args:
        tflite: of TFLite's own kernels (for LCE's operations: of LCE's kernels).
        xnnpack: of XNNPACK's; None if TFLite's kernel runs there as well.
        tflite_dot, xnnpack_dot: of a processor with dot products; None if they are the same there.
    """

    tflite: float
    xnnpack: float | None = None
    tflite_dot: float | None = None
    xnnpack_dot: float | None = None

    def column(self, name: str) -> float:
        """The cost in one of `COLUMNS`."""
        if name == "tflite":
            return self.tflite
        if name == "xnnpack":
            return self.tflite if self.xnnpack is None else self.xnnpack
        if name == "tflite_dot":
            return self.tflite if self.tflite_dot is None else self.tflite_dot
        if self.xnnpack_dot is not None:
            return self.xnnpack_dot
        return self.column("tflite_dot" if self.xnnpack is None else "xnnpack")


# By form of operation and type of its values, the costs of its units.
TABLE: dict[tuple[str, str], dict[str, Costs]] = {
    # The MACs are those of the tile that the kernel computes: see `bnn_keras.accounting.cost.work`.
    ("LceBconv2d", FLOAT): {
        "tile MAC": Costs(0.0258),
        "output": Costs(3.62),
        "patch": Costs(169),
        "patch word": Costs(1.16),
    },
    ("LceBconv2d", INT8): {
        "tile MAC": Costs(0.0258),
        "output": Costs(4.12),
        "patch": Costs(169),
        "patch word": Costs(1.16),
    },
    ("LceQuantize", FLOAT): {"input": Costs(0.385)},
    ("LceQuantize", INT8): {"input": Costs(0.23)},
    # TFLite copies each patch of the image into a row of a matrix, row by row of the kernel; XNNPACK reads
    # the image through pointers, and channels beyond a multiple of 4 one by one.
    ("CONV_2D", FLOAT): {
        "MAC": Costs(0.345, 0.343),
        "patch element": Costs(1.5, 0.0),
        "patch row": Costs(64, 0.0),
        "tap": Costs(0.0, 5.85),
        "odd MAC": Costs(0.0, 0.26),
    },
    ("CONV_2D of one pixel", FLOAT): {"MAC": Costs(1.34, 0.46), "output": Costs(60, 0.0)},
    ("CONV_2D grouped", FLOAT): {
        "MAC": Costs(3.8, 0.343),
        "output tap": Costs(41.7, 0.0),
        "tap": Costs(0, 8),
    },
    ("DEPTHWISE_CONV_2D", FLOAT): {"MAC": Costs(2.15, 1.02)},
    ("FULLY_CONNECTED", FLOAT): {"MAC": Costs(1.34, 0.46)},
    ("CONV_2D", INT8): {"MAC": Costs(0.302, 0.290, 0.133, 0.095)},
    ("CONV_2D 1x1", INT8): {"MAC": Costs(0.269, 0.267, 0.100, 0.084)},
    # A convolution of one pixel is counted as a dense layer.
    ("CONV_2D of one pixel", INT8): {"MAC": Costs(0.82, 0.31, 0.82, 0.16)},
    # XNNPACK has no kernel for weights of 4 bits. TFLite's makes bytes of them for each image; that is
    # estimated from the time that it takes on x86 (0.1 ns a weight), and not counted.
    ("CONV_2D of 4 bits", INT8): {"MAC": Costs(0.302, None, 0.133), "weight": Costs(0.5)},
    ("CONV_2D of one pixel, 4 bits", INT8): {"MAC": Costs(0.82), "weight": Costs(0.5)},
    ("CONV_2D grouped", INT8): {"MAC": Costs(14.5, 0.514, 14.5, 0.328)},
    ("DEPTHWISE_CONV_2D", INT8): {"MAC": Costs(0.614, 0.920)},
    ("FULLY_CONNECTED", INT8): {"MAC": Costs(0.82, 0.31, 0.82, 0.16)},
    # A row is what one loop computes without starting anew: the channels, if the constant has one value a
    # channel. The tail of a row are its values beyond a multiple of 4.
    ("ADD", FLOAT): {"element": Costs(1.44, 1.39)},
    ("ADD in rows", FLOAT): {"element": Costs(1.44, 1.39), "row": Costs(33, 17), "tail": Costs(9, 0.0)},
    ("ADD of a number", FLOAT): {"element": Costs(2.01, 1.01)},
    ("MUL", FLOAT): {"element": Costs(1.44, 1.39)},
    ("MUL in rows", FLOAT): {"element": Costs(1.44, 1.39), "row": Costs(33, 17), "tail": Costs(9, 0.0)},
    ("MUL of a number", FLOAT): {"element": Costs(2.01, 1.01)},
    ("SUB", FLOAT): {"element": Costs(2.26, 1.39)},
    ("SUB in rows", FLOAT): {"element": Costs(2.26, 1.39), "row": Costs(80, 25)},
    ("SUB of a number", FLOAT): {"element": Costs(3.0, 1.54)},
    ("ADD", INT8): {"element": Costs(4.57, 2.45)},
    ("ADD in rows", INT8): {"element": Costs(4.66, 2.65)},
    ("MUL", INT8): {"element": Costs(3.07, 2.39)},
    ("MUL in rows", INT8): {"element": Costs(3.29, 2.58)},
    ("MAXIMUM", FLOAT): {"element": Costs(14.5, 1.39)},
    ("MAXIMUM in rows", FLOAT): {"element": Costs(50, 1.54)},
    ("MINIMUM", FLOAT): {"element": Costs(14.5, 1.39)},
    ("MINIMUM in rows", FLOAT): {"element": Costs(50, 1.54)},
    ("GREATER in rows", FLOAT): {"element": Costs(38)},
    ("SELECT", FLOAT): {"element": Costs(7)},
    ("SELECT_V2", FLOAT): {"element": Costs(7)},
    ("PRELU", FLOAT): {"element": Costs(1.44, 1.90), "row": Costs(33, 36)},
    ("PRELU", INT8): {"element": Costs(78)},
    ("RELU", FLOAT): {"element": Costs(1.50, 1.01)},
    ("RELU", INT8): {"element": Costs(45)},
    ("LOGISTIC", FLOAT): {"element": Costs(11.4, 19.9)},
    ("LOGISTIC", INT8): {"element": Costs(9.6, 10.7)},
    # Rows of channels are copied, each by one call.
    ("SLICE", FLOAT): {"element": Costs(0.63, 0.63), "row": Costs(52, 37)},
    ("STRIDED_SLICE", FLOAT): {"element": Costs(0.63, 0.63), "row": Costs(52, 37)},
    ("SLICE", INT8): {"element": Costs(0.86, 0.71)},
    ("STRIDED_SLICE", INT8): {"element": Costs(0.86, 0.71)},
    ("CONCATENATION", FLOAT): {"element": Costs(0.65, 0.63), "row": Costs(36, 30)},
    ("CONCATENATION of many", FLOAT): {"element": Costs(0.65), "row": Costs(36)},
    ("SPLIT", FLOAT): {"element": Costs(0.62, 0.62), "row": Costs(36, 28)},
    ("SPLIT of many", FLOAT): {"element": Costs(0.62), "row": Costs(36)},
    ("CONCATENATION", INT8): {"element": Costs(0.46, 0.37)},
    ("SPLIT", INT8): {"element": Costs(0.46, 0.37)},
    ("PAD", FLOAT): {"element": Costs(0.59, 1.58)},
    ("PAD of channels", FLOAT): {"element": Costs(0.81, 1.54)},
    ("PAD", INT8): {"element": Costs(15.8, 0.73)},
    ("PAD of channels", INT8): {"element": Costs(0.29, 0.68)},
    ("TRANSPOSE", FLOAT): {"element": Costs(5.8, 2.4)},
    # An image of 3 channels, pixel by pixel.
    ("REVERSE_V2", FLOAT): {"element": Costs(9.3)},
    # All values from the last to the first. Counted of TFLite's loop alone, `std::reverse_copy`: 4.0 value by
    # value, 1.25 where the compiler (clang 22) makes vectors of it.
    ("REVERSE_V2 of all", FLOAT): {"element": Costs(4.0)},
    # A tap is one place of the window for one output.
    ("MAX_POOL_2D", FLOAT): {
        "element": Costs(0.75, 6.2),
        "output tap": Costs(2.22, 0.0),
        "pixel": Costs(388, 45),
    },
    ("AVERAGE_POOL_2D", FLOAT): {
        "element": Costs(1.28, 6.7),
        "output tap": Costs(2.28, 0.0),
        "pixel": Costs(525, 50),
    },
    ("MAX_POOL_2D", INT8): {"element": Costs(1.9, 2.2), "output tap": Costs(0.62, 0.02)},
    ("AVERAGE_POOL_2D", INT8): {"element": Costs(11.3), "output tap": Costs(1.14)},
    ("MEAN", FLOAT): {"input": Costs(1.72, 0.73), "pixel": Costs(67, 0.0)},
    ("MEAN", INT8): {"input": Costs(115, 0.79)},
    ("QUANTIZE", FLOAT): {"element": Costs(2.25)},
    ("QUANTIZE", INT8): {"element": Costs(2.25)},
    # TFLite and XNNPACK turn constants into floats once, before the first image.
    ("DEQUANTIZE of constants", INT8): {"element": Costs(0.0)},
    ("DEQUANTIZE", INT8): {"element": Costs(2.0)},
}

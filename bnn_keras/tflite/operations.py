"""What a .tflite file from a stranger may contain, by the names of TFLite's schema.

Source: tensorflow/lite/schema/schema.fbs; the custom operations are those of the Larq Compute Engine.
"""

# The tables of a file, each with its fields in their order: numbers by their type, "string", another
# table, [type] for a vector of these, and "union" for the table whose type the field before it gives.
TABLES = {
    "Model": "u32 [OperatorCode] [SubGraph] string [Buffer] [i32] [Metadata] [SignatureDef]",
    "OperatorCode": "i8 string i32 i32",
    "SubGraph": "[Tensor] [i32] [i32] [Operator] string i32",
    "Tensor": "[i32] i8 u32 string QuantizationParameters bool refused [i32] bool [refused]",
    "QuantizationParameters": "[f32] [f32] [f32] [i64] u8 refused i32",
    "Operator": "u32 [i32] [i32] u8 union [u8] i8 [bool] [i32] u64 u64 u8 refused",
    "Buffer": "[u8] u64 u64",
    "Metadata": "string u32",
    "SignatureDef": "[TensorMap] [TensorMap] string unused u32",
    "TensorMap": "string u32",
}

# The options of operations. Those without fields of their own are not listed.
OPTIONS = {
    "AddOptions": "i8 bool",
    "ArgMaxOptions": "i8",
    "ArgMinOptions": "i8",
    "BatchMatMulOptions": "bool bool bool",
    "CastOptions": "i8 i8",
    "ConcatenationOptions": "i32 i8",
    "Conv2DOptions": "i8 i32 i32 i8 i32 i32 i8",
    "CumsumOptions": "bool bool",
    "DepthToSpaceOptions": "i32",
    "DepthwiseConv2DOptions": "i8 i32 i32 i32 i8 i32 i32",
    "DivOptions": "i8",
    "FullyConnectedOptions": "i8 i8 bool bool i8",
    "GatherOptions": "i32 i32",
    "GeluOptions": "bool",
    "L2NormOptions": "i8",
    "LeakyReluOptions": "f32",
    "LocalResponseNormalizationOptions": "i32 f32 f32 f32",
    "MirrorPadOptions": "i8",
    "MulOptions": "i8",
    "OneHotOptions": "i32",
    "PackOptions": "i32 i32",
    "Pool2DOptions": "i8 i32 i32 i32 i32 i8",
    "ReducerOptions": "bool",
    "ReshapeOptions": "[i32]",
    "ResizeBilinearOptions": "bool bool",
    "ResizeNearestNeighborOptions": "bool bool",
    "ShapeOptions": "i8",
    "SoftmaxOptions": "f32",
    "SpaceToDepthOptions": "i32",
    "SplitOptions": "i32",
    "SplitVOptions": "i32",
    "SqueezeOptions": "[i32]",
    "StridedSliceOptions": "i32 i32 i32 i32 i32 bool",
    "SubOptions": "i8 bool",
    "TransposeConvOptions": "i8 i32 i32 i8 i8",
    "UnpackOptions": "i32 i32",
}

# The operations that a network of images needs, with the table of their options; None if it is named after
# the operation, "" if there is none.
OPERATIONS: dict[str, str | None] = {
    "ABS ADD ADD_N ARG_MAX ARG_MIN BROADCAST_TO CAST COS CUMSUM DEPTH_TO_SPACE DEQUANTIZE DIV EQUAL EXP "
    "EXPAND_DIMS FILL FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GELU GREATER GREATER_EQUAL "
    "HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOCAL_RESPONSE_NORMALIZATION LOGICAL_AND LOGICAL_NOT LOGICAL_OR "
    "LOG_SOFTMAX MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD POW QUANTIZE RANGE RANK RESHAPE "
    "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SELECT SHAPE SIGN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V "
    "SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB TILE TRANSPOSE TRANSPOSE_CONV UNPACK WHERE "
    "ZEROS_LIKE": None,
    "CEIL ELU FLOOR LOG LOGISTIC PRELU RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIN SQRT TANH": "",
    "AVERAGE_POOL_2D L2_POOL_2D MAX_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "MAXIMUM MINIMUM": "MaximumMinimumOptions",
    "MEAN REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM": "ReducerOptions",
    "PADV2": "PadV2Options",
    "REVERSE_V2": "ReverseV2Options",
    "SELECT_V2": "SelectV2Options",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
    "TOPK_V2": "TopKV2Options",
}
NEWEST_VERSION = 16  # of any operation; the interpreter refuses the ones that it does not have


def _option_table(operation: str, table: str | None) -> str:
    return "".join(word.capitalize() for word in operation.split("_")) + "Options" if table is None else table


# The table of the options of every operation, "" for one without options.
OPTIONS_OF = {
    operation: _option_table(operation, table)
    for operations, table in OPERATIONS.items()
    for operation in operations.split()
}
OPTION_TABLES = set(OPTIONS_OF.values()) - {""}

# The Larq Compute Engine's operations, with the whole numbers among their options and the ranges of these.
_WINDOW = {"stride_height": (1, 64), "stride_width": (1, 64), "padding": (0, 3)}
CUSTOM_OPERATIONS: dict[str, dict[str, tuple[int, int]]] = {
    "LceBconv2d": {
        **_WINDOW,
        "channels_in": (1, 2**20),
        "dilation_height_factor": (1, 64),
        "dilation_width_factor": (1, 64),
        "fused_activation_function": (0, 5),
        "pad_values": (0, 1),
    },
    "LceBMaxPool2d": {**_WINDOW, "filter_height": (1, 4096), "filter_width": (1, 4096)},
    "LceDequantize": {},
    "LceQuantize": {},
}

# The bytes of a value, by the names of the schema's tensor types; others are refused.
VALUE_SIZES: dict[str, float] = {
    "BOOL": 1,
    "FLOAT16": 2,
    "FLOAT32": 4,
    "FLOAT64": 8,
    "INT4": 0.5,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "UINT8": 1,
    "UINT32": 4,
}

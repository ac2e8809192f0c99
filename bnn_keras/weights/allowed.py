"""Everything that a model file may name, and what each config may hold: data, and nothing else.

A .keras file is a tree of names and settings from which Keras builds a network. Keras itself would
import any module and call any class that the tree names. `bnn_keras.weights.config` lets it see only
what is listed here, and what the running program has registered with Keras itself.

A class is listed with the keys of its config. The key decides what a value may be: a word of
`WORDS`, an object of the role in `ROLES`, or (any other key) numbers: None, booleans, numbers and lists
of them. All names are written down in docs/security.md too.
"""

# Groups of keys, written in capitals below.
GROUPS = {
    "BASE": "name trainable dtype batch_input_shape",
    "KERNEL": "kernel_initializer kernel_regularizer kernel_constraint",
    "RECURRENT": "recurrent_initializer recurrent_regularizer recurrent_constraint",
    "DEPTHWISE": "depth_multiplier depthwise_initializer depthwise_regularizer depthwise_constraint",
    "POINTWISE": "pointwise_initializer pointwise_regularizer pointwise_constraint",
    "BIAS": "use_bias bias_initializer bias_regularizer bias_constraint",
    "DENSE": "activation activity_regularizer KERNEL BIAS",
    "WINDOW": "kernel_size strides padding data_format dilation_rate groups",
    "CONV": "filters WINDOW DENSE",
    "DEPTHWISE_CONV": "WINDOW activation activity_regularizer BIAS DEPTHWISE",
    "POOL": "pool_size strides padding data_format",
    "SCALE_AND_SHIFT": "center scale beta_initializer gamma_initializer beta_regularizer gamma_regularizer "
    "beta_constraint gamma_constraint",
    "SEQUENCE": "return_sequences return_state go_backwards stateful unroll time_major input_length",
    "CELL": "units activation recurrent_activation KERNEL RECURRENT BIAS dropout recurrent_dropout "
    "implementation",
    "RANDOM": "seed fill_mode fill_value interpolation",
}

# Keras's layers that compute on tensors, by the names of their classes.
LAYERS = {
    "InputLayer": "sparse ragged",
    "Activation": "activation",
    "ActivityRegularization": "l1 l2",
    "Add Average Identity Maximum Minimum Multiply Subtract": "",
    "AdditiveAttention Attention": "dropout use_scale score_mode",
    "AlphaDropout Dropout GaussianDropout SpatialDropout1D SpatialDropout2D SpatialDropout3D": "rate "
    "noise_shape seed",
    "AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D": "POOL",
    "BatchNormalization": "axis momentum epsilon SCALE_AND_SHIFT moving_mean_initializer "
    "moving_variance_initializer synchronized",
    "Bidirectional": "layer backward_layer merge_mode",
    "CenterCrop": "height width",
    "Concatenate Softmax UnitNormalization": "axis",
    "Conv1D Conv2D Conv3D": "CONV",
    "Conv1DTranspose Conv2DTranspose Conv3DTranspose": "CONV output_padding",
    "ConvLSTM1D ConvLSTM2D ConvLSTM3D": "SEQUENCE CONV recurrent_activation RECURRENT unit_forget_bias "
    "dropout recurrent_dropout",
    "Cropping1D Cropping2D Cropping3D": "cropping data_format",
    "Dense": "units DENSE",
    "DepthwiseConv1D DepthwiseConv2D": "DEPTHWISE_CONV",
    "Dot": "axes normalize",
    "EinsumDense": "equation output_shape bias_axes DENSE",
    "ELU LeakyReLU": "alpha",
    "Embedding": "input_dim output_dim input_length mask_zero embeddings_initializer embeddings_regularizer "
    "embeddings_constraint activity_regularizer",
    "Flatten": "data_format",
    "GaussianNoise": "stddev seed",
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D "
    "GlobalMaxPooling2D GlobalMaxPooling3D": "data_format keepdims",
    "GroupNormalization": "groups axis epsilon SCALE_AND_SHIFT",
    "GRU": "SEQUENCE CELL activity_regularizer reset_after",
    "GRUCell": "CELL reset_after",
    "LayerNormalization": "axis epsilon SCALE_AND_SHIFT",
    "LocallyConnected1D LocallyConnected2D": "CONV implementation",
    "LSTM": "SEQUENCE CELL activity_regularizer unit_forget_bias",
    "LSTMCell": "CELL unit_forget_bias",
    "Masking": "mask_value",
    "MultiHeadAttention": "num_heads key_dim value_dim dropout output_shape attention_axes query_shape "
    "key_shape value_shape activity_regularizer KERNEL BIAS",
    "Normalization": "axis invert mean variance",
    "Permute": "dims",
    "PReLU": "shared_axes alpha_initializer alpha_regularizer alpha_constraint",
    "RandomBrightness": "factor value_range seed",
    "RandomContrast RandomHeight RandomRotation RandomWidth": "factor RANDOM",
    "RandomCrop": "height width seed",
    "RandomFlip": "mode seed",
    "RandomTranslation RandomZoom": "height_factor width_factor RANDOM",
    "ReLU": "max_value negative_slope threshold",
    "RepeatVector": "n",
    "Rescaling": "scale offset",
    "Reshape": "target_shape",
    "Resizing": "height width interpolation crop_to_aspect_ratio",
    "RNN": "SEQUENCE cell",
    "SeparableConv1D SeparableConv2D": "CONV DEPTHWISE POINTWISE",
    "SimpleRNN": "SEQUENCE CELL activity_regularizer",
    "SimpleRNNCell": "CELL",
    "SpectralNormalization": "layer power_iterations",
    "StackedRNNCells": "cells",
    "ThresholdedReLU": "theta",
    "TimeDistributed": "layer",
    "UpSampling1D UpSampling2D UpSampling3D": "size data_format interpolation",
    "ZeroPadding1D ZeroPadding2D ZeroPadding3D": "padding data_format",
}

LARQ_LAYERS = {
    "QuantDense": "units DENSE input_quantizer kernel_quantizer",
    "QuantConv1D QuantConv2D QuantConv3D": "CONV pad_values input_quantizer kernel_quantizer",
    "QuantConv2DTranspose QuantConv3DTranspose": "CONV output_padding input_quantizer kernel_quantizer",
    "QuantDepthwiseConv2D": "DEPTHWISE_CONV pad_values input_quantizer depthwise_quantizer",
    "QuantSeparableConv1D QuantSeparableConv2D": "CONV DEPTHWISE POINTWISE pad_values input_quantizer "
    "depthwise_quantizer pointwise_quantizer",
    "QuantLocallyConnected1D QuantLocallyConnected2D": "CONV implementation input_quantizer kernel_quantizer",
}

LARQ_QUANTIZERS = {
    "ApproxSign": "",
    "DoReFa": "k_bit mode",
    "MagnitudeAwareSign SteHeaviside SteSign": "clip_value",
    "NoOp": "precision",
    "SteTern": "threshold_value ternary_weight_networks clip_value",
    "SwishSign": "beta",
}
# Its functions by name: the same quantizers, and two activations.
LARQ_FUNCTIONS = (
    "approx_sign dorefa_quantizer magnitude_aware_sign ste_heaviside ste_sign ste_tern swish_sign "
    "hard_tanh leaky_tanh"
)
LARQ_CONSTRAINTS = {"WeightClip weight_clip": "clip_value"}

# The layers in which Keras wraps a TensorFlow function that is called on its tensors.
FUNCTION_LAYERS = {"TFOpLambda SlicingOpLambda": "function"}
FUNCTIONAL = {"Functional": "layers input_layers output_layers"}
SEQUENTIAL = {"Sequential": "layers build_input_shape"}
POLICIES = {"Policy": "name"}

INITIALIZERS = {
    "Constant": "value",
    "GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform": "seed",
    "Identity": "gain",
    "Ones Zeros": "",
    "Orthogonal": "gain seed",
    "RandomNormal TruncatedNormal": "mean stddev seed",
    "RandomUniform": "minval maxval seed",
    "VarianceScaling": "scale mode distribution seed",
}
CONSTRAINTS = {
    "MaxNorm": "max_value axis",
    "MinMaxNorm": "min_value max_value rate axis",
    "NonNeg RadialConstraint": "",
    "UnitNorm": "axis",
}
REGULARIZERS = {"L1": "l1", "L2": "l2", "L1L2": "l1 l2", "OrthogonalRegularizer": "factor mode"}
ACTIVATIONS = (
    "elu exponential gelu hard_sigmoid linear mish relu selu sigmoid softmax softplus softsign swish tanh"
)

# TensorFlow's functions from tensors to tensors, by the names under which Keras saves them.
FUNCTIONS = """
__operators__.add __operators__.eq __operators__.getitem __operators__.ne
broadcast_to cast clip_by_norm clip_by_value concat einsum ensure_shape expand_dims gather identity norm
one_hot ones_like pad repeat reshape reverse roll shape size slice split squeeze stack stop_gradient
strided_slice tensordot tile transpose unstack where zeros_like
compat.v1.expand_dims compat.v1.gather compat.v1.norm compat.v1.ones_like compat.v1.pad compat.v1.shape
compat.v1.size compat.v1.squeeze compat.v1.transpose compat.v1.where compat.v1.zeros_like
compat.v1.math.argmax compat.v1.math.argmin compat.v1.math.reduce_all compat.v1.math.reduce_any
compat.v1.math.reduce_logsumexp compat.v1.math.reduce_max compat.v1.math.reduce_mean
compat.v1.math.reduce_min compat.v1.math.reduce_prod compat.v1.math.reduce_sum compat.v1.math.scalar_mul
compat.v1.nn.avg_pool compat.v1.nn.conv2d compat.v1.nn.crelu compat.v1.nn.depth_to_space
compat.v1.nn.depthwise_conv2d compat.v1.nn.dropout compat.v1.nn.log_softmax compat.v1.nn.max_pool
compat.v1.nn.moments compat.v1.nn.pool compat.v1.nn.softmax compat.v1.nn.space_to_depth
image.adjust_brightness image.adjust_contrast image.adjust_gamma image.central_crop
image.convert_image_dtype image.crop_to_bounding_box image.flip_left_right image.flip_up_down
image.grayscale_to_rgb image.pad_to_bounding_box image.per_image_standardization image.resize
image.resize_with_crop_or_pad image.resize_with_pad image.rgb_to_grayscale image.rot90 image.transpose
linalg.matmul linalg.matrix_transpose linalg.matvec linalg.normalize
math.abs math.accumulate_n math.acos math.acosh math.add math.add_n math.argmax math.argmin math.asin
math.asinh math.atan math.atan2 math.atanh math.ceil math.cos math.cosh math.count_nonzero math.cumprod
math.cumsum math.cumulative_logsumexp math.divide math.divide_no_nan math.equal math.erf math.erfc
math.erfinv math.exp math.expm1 math.floor math.floordiv math.floormod math.greater math.greater_equal
math.is_finite math.is_inf math.is_nan math.l2_normalize math.less math.less_equal math.lgamma math.log
math.log1p math.log_sigmoid math.logical_and math.logical_not math.logical_or math.logical_xor
math.maximum math.minimum math.multiply math.multiply_no_nan math.negative math.not_equal math.pow
math.reciprocal math.reciprocal_no_nan math.reduce_all math.reduce_any math.reduce_euclidean_norm
math.reduce_logsumexp math.reduce_max math.reduce_mean math.reduce_min math.reduce_prod math.reduce_std
math.reduce_sum math.reduce_variance math.rint math.round math.rsqrt math.scalar_mul math.sigmoid
math.sign math.sin math.sinh math.softplus math.sqrt math.square math.squared_difference math.subtract
math.tan math.tanh math.top_k math.truediv math.xdivy math.xlog1py math.xlogy math.zero_fraction
nn.atrous_conv2d nn.avg_pool nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d nn.batch_normalization
nn.bias_add nn.conv1d nn.conv2d nn.conv2d_transpose nn.conv3d nn.convolution nn.crelu nn.depth_to_space
nn.depthwise_conv2d nn.dropout nn.elu nn.gelu nn.l2_loss nn.leaky_relu nn.local_response_normalization
nn.log_softmax nn.max_pool nn.max_pool1d nn.max_pool2d nn.max_pool3d nn.moments nn.pool nn.relu nn.relu6
nn.selu nn.separable_conv2d nn.silu nn.softmax nn.softsign nn.space_to_depth nn.weighted_moments
"""

# What a key's value may name, if it names an object.
ROLES = {
    r"\w+_initializer": "initializer",
    r"\w+_constraint": "constraint",
    r"\w+_regularizer": "regularizer",
    r"\w+_quantizer": "quantizer",
    r"activation|recurrent_activation": "activation",
    r"layer|backward_layer|cell|cells|layers": "layer",
    r"dtype": "policy",
}
# The classes of a role: where Keras finds them, whether by their registered name, and the classes.
SYMBOLS = {
    "layer": (
        ("keras.layers", False, LAYERS),
        ("larq.layers", True, LARQ_LAYERS),
        ("larq.quantizers", True, LARQ_QUANTIZERS),
        ("tf_keras.src.engine.functional", True, FUNCTIONAL),
        ("keras", False, SEQUENTIAL),
        ("tf_keras.src.layers.core.tf_op_layer", True, FUNCTION_LAYERS),
    ),
    "initializer": (("keras.initializers", False, INITIALIZERS),),
    "constraint": (
        ("keras.constraints", False, CONSTRAINTS),
        ("larq.constraints", True, LARQ_CONSTRAINTS),
    ),
    "regularizer": (("keras.regularizers", False, REGULARIZERS),),
    "quantizer": (("larq.quantizers", True, LARQ_QUANTIZERS),),
    "policy": (("keras.mixed_precision", False, POLICIES),),
}

DTYPES = "bfloat16 bool float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64"
RESIZING = "area bicubic bilinear gaussian lanczos3 lanczos5 mitchellcubic nearest"
# The words that the value of a key may be. A name is any printable text.
WORDS = {
    "data_format": "channels_first channels_last",
    "distribution": "normal truncated_normal uniform untruncated_normal",
    "dtype": f"{DTYPES} mixed_bfloat16 mixed_float16",
    "fill_mode": "constant nearest reflect wrap",
    "function": FUNCTIONS,
    "interpolation": RESIZING,
    "merge_mode": "ave concat mul sum",
    "mode": "activations weights columns rows fan_avg fan_in fan_out "
    "horizontal horizontal_and_vertical vertical",
    "padding": "causal same valid",
    "score_mode": "concat dot",
}
# The words among the arguments of a TensorFlow function; an equation of einsum is allowed too.
ARGUMENTS = (
    f"{DTYPES} {RESIZING} SAME VALID CONSTANT REFLECT SYMMETRIC NHWC NCHW NWC NCW NDHWC NCDHW AVG MAX "
    "euclidean fro"
)
EQUATION = r"[A-Za-z.,>\- ]{1,100}"

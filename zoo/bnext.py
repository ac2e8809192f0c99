"""BNext: Join the High Accuracy Club on ImageNet with A Binary Neural Network Ticket.

Guo, Bethge, Meinel, Yang, 2022 (https://arxiv.org/abs/2211.12933). ImageNet, as published
(OPs = FLOPs + BOPs / 64):

| name    | stages (N:M), width C   | top-1 % | MiB   | OPs    |
|---------|-------------------------|---------|-------|--------|
| bnext_t | 1:1:3:1, 32             | 72.4    | 13.3  | 0.88e8 |
| bnext_s | 1:1:3:1, 48             | 76.1    | 26.7  | 1.90e8 |
| bnext_m | 2:2:4:2, 48             | 78.3    | 46.5  | 3.38e8 |
| bnext_l | 2:2:8:2, 64             | 80.6    | 106.1 | 8.54e8 |
| bnext18 | ResNet-18's, 64         | 68.4    | 5.4   | 1.64e8 |

The networks turn their image by 180 degrees first: so TensorFlow's padding becomes that of the authors'
PyTorch code, and their checkpoints compute here what they compute there. Behind it everything lies
upside down, which nothing notices.
"""

import itertools

import tensorflow as tf

from bnn_keras.errors import one_of
from bnn_keras.nn import convolution, layers, quantizers
from zoo import shared

# widths: of the input of every block, and of the last one's output; the first is the stem's.
VARIANTS: dict[str, dict] = {
    "bnext_t": dict(widths=(32, 64, *[128] * 2, *[256] * 2, *[512] * 6, *[1024] * 2)),
    "bnext_s": dict(widths=(48, 96, *[192] * 2, *[384] * 2, *[768] * 6, *[1536] * 2)),
    "bnext_m": dict(widths=(48, 96, *[192] * 4, *[384] * 4, *[768] * 8, *[1536] * 4)),
    "bnext_l": dict(widths=(64, 128, *[256] * 4, *[512] * 4, *[1024] * 16, *[2048] * 4)),
    # Two blocks a width, as ResNet-18. Its released code binarizes earlier.
    "bnext18": dict(widths=(64, 128, 256, 512), backbone="resnet", stem="conv7x7", hard_below=1e-5),
}

RECIPES = {**dict.fromkeys(VARIANTS, "bnext"), "bnext_l": "bnext_l", "bnext18": "bnext18"}
OTHER_RECIPES = {"cifar10": "bnext_cifar10", "cifar100": "bnext_cifar100"}
# The authors' constants, where others are usual: torchvision's, and their own for CIFAR.
NORMALIZATIONS = {"imagenet2012": "larq_zoo", "cifar10": "bnext_cifar", "cifar100": "bnext_cifar"}

STEMS = ("conv3x3", "conv7x7", "thumbnail")
SQUEEZE = 8  # channels of the squeeze-and-expand branch to one between its two layers
SLOPE = 0.25  # of every PReLU at first
ROTATION = "upside_down"  # name of the layer that turns the image


def torch_uniform(fan_in: int) -> tf.keras.initializers.Initializer:
    """PyTorch's default for the kernels and biases of convolutions and dense layers."""
    return tf.keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def float_conv(x, filters: int, kernel_size: int, name: str, strides: int = 1, use_bias: bool = False):
    fan_in = kernel_size**2 * x.shape[-1]
    return convolution.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=torch_uniform(fan_in),
        bias_initializer=torch_uniform(fan_in),
        name=name,
    )(x)


def prelu(x, name: str):
    slope = tf.keras.initializers.Constant(SLOPE)
    return tf.keras.layers.PReLU(alpha_initializer=slope, shared_axes=[1, 2], name=name)(x)


def mean(x, name: str):
    return tf.keras.layers.GlobalAveragePooling2D(keepdims=True, name=name)(x)


def multiply(a, b, name: str):
    return tf.keras.layers.Multiply(name=name)([a, b])


class Module:
    """A binary convolution with its processing, and a residual connection around it (figures 3c and 4).

    Args:
        info_recoupling: scale what the convolution gives by a squeeze-and-expand branch that sees both
            its input and its output.
        binary: False gives the 32-bit twin.
        mix_residual: the branch sees the residual in place of the input (BNext-18's released code).
        conv_options: `pad_values`, `kernel_clip`, `hard_below` of `bnn_keras.nn.layers.progressive_conv`.
    """

    def __init__(
        self, info_recoupling: bool = True, binary: bool = True, mix_residual: bool = False, **conv_options
    ):
        self.info_recoupling, self.binary, self.mix_residual = info_recoupling, binary, mix_residual
        self.conv_options = conv_options

    def plain(self, x, kernel_size: int, name: str, strides: int = 1, downsample=None, input_mean=None):
        """A module without element-wise attention.

        Args:
            downsample: makes the residual where it is to have another number of channels.
            input_mean: the residual's, [batch, 1, 1, channels], if another module has it already.
        """
        residual = _residual(x, f"{name}/pool", name, strides, downsample)
        y = self.process(x, residual.shape[-1], kernel_size, name, strides)
        if self.info_recoupling:
            seen = mean(residual, f"{name}/input_mean") if input_mean is None else input_mean
            y = multiply(y, self.attention(seen, y, name), f"{name}/recoupled")
            y = shared.batch_norm(y, f"{name}/recoupled_bn")
        return tf.keras.layers.Add(name=name)([y, residual])

    def elm(self, x, kernel_size: int, name: str, strides: int = 1, downsample=None):
        """A module with element-wise attention: its output times the residual (section 3.2)."""
        residual = prelu(x, f"{name}/residual_prelu")
        residual = _residual(residual, f"{name}/residual_pool", name, strides, downsample)
        y = self.process(x, residual.shape[-1], kernel_size, name, strides)
        if self.info_recoupling:
            seen = residual if self.mix_residual else _pooled(x, strides, name)
            y = multiply(y, self.attention(mean(seen, f"{name}/input_mean"), y, name), f"{name}/recoupled")
        y = shared.batch_norm(multiply(y, residual, f"{name}/elm"), f"{name}/elm_bn")
        return tf.keras.layers.Add(name=name)([y, residual])

    def process(self, x, filters: int, kernel_size: int, name: str, strides: int):
        """Bias, sign, binary convolution, BatchNorm, PReLU."""
        x = layers.Bias(name=f"{name}/bias")(x)
        if self.binary:
            x = layers.progressive_conv(
                filters, kernel_size, strides=strides, name=f"{name}/conv", **self.conv_options
            )(x)
        else:
            x = float_conv(shared.relu(x, f"{name}/relu"), filters, kernel_size, f"{name}/conv", strides)
        return prelu(shared.batch_norm(x, f"{name}/bn"), f"{name}/prelu")

    def attention(self, input_mean, y, name: str):
        """The squeeze-and-expand branch over the mix of input and output, [batch, 1, 1, channels]."""
        mix = layers.Mix(name=f"{name}/mix")([input_mean, mean(y, f"{name}/output_mean")])
        channels = mix.shape[-1]
        squeezed = float_conv(mix, channels // SQUEEZE, 1, f"{name}/squeeze", use_bias=True)
        squeezed = shared.relu(squeezed, f"{name}/squeeze_relu")
        expanded = float_conv(squeezed, channels, 1, f"{name}/expand", use_bias=True)
        return tf.keras.layers.Activation("sigmoid", name=f"{name}/sigmoid")(expanded)


def _residual(x, pool: str, name: str, strides: int, downsample):
    if downsample is not None:
        return downsample(x, name)
    return x if strides == 1 else shared.average_pool(x, pool)


def _pooled(x, strides: int, name: str):
    """What a mix of feature maps would see of x; the mean over all of an even edge is the same unpooled."""
    even = strides == 1 or all(edge % 2 == 0 for edge in x.shape[1:3])
    return x if even else shared.average_pool(x, f"{name}/pool")


def mobilenet_blocks(x, widths: tuple[int, ...], elm_attention: bool, module: Module):
    """Blocks of a 3x3 and a 1x1 module, as MobileNet-v1 has them; two 1x1 ones where the width doubles."""
    for number, (width, after) in enumerate(itertools.pairwise(widths), start=1):
        name = f"block{number}"
        with_elm = elm_attention and number % 2 == 0
        strides = 2 if after > width and number > 1 else 1
        x = (module.elm if with_elm else module.plain)(x, 3, f"{name}_3x3", strides)
        if after == width:
            x = module.plain(x, 1, f"{name}_1x1")
        else:
            seen = mean(x, f"{name}_1x1/input_mean") if module.info_recoupling else None
            halves = [module.plain(x, 1, f"{name}_1x1_{half}", input_mean=seen) for half in (1, 2)]
            x = tf.keras.layers.Concatenate(name=f"{name}_1x1")(halves)
    return x


def resnet_blocks(x, widths: tuple[int, ...], elm_attention: bool, module: Module):
    """Blocks of two 3x3 modules, as ResNet-18 has them."""
    for section, width in enumerate(widths, start=1):
        for block in (1, 2):
            name = f"section{section}_block{block}_3x3"
            grows = x.shape[-1] != width
            first = module.elm if elm_attention else module.plain
            x = first(x, 3, f"{name}_1", 2 if grows else 1, _downsample(width) if grows else None)
            x = module.plain(x, 3, f"{name}_2")
    return x


def _downsample(width: int):
    def downsample(residual, name: str):
        residual = shared.average_pool(residual, f"{name}/residual_pool")
        residual = float_conv(residual, width, 1, f"{name}/residual_conv")
        return shared.batch_norm(residual, f"{name}/residual_bn")

    return downsample


def stem_of(x, kind: str, filters: int):
    """The first layers: "conv3x3" (half the edge), "conv7x7" with pooling (a quarter), "thumbnail" (all)."""
    if kind not in STEMS:
        raise one_of("stem", kind, STEMS)
    if kind == "conv7x7":
        x = shared.batch_norm(float_conv(x, filters, 7, "stem/conv", 2), "stem/bn")
        return shared.max_pool(x, 3, "stem")
    return shared.batch_norm(float_conv(x, filters, 3, "stem/conv", 2 if kind == "conv3x3" else 1), "stem")


BACKBONES = {"mobilenet": mobilenet_blocks, "resnet": resnet_blocks}


def network(
    x,
    *,
    widths: tuple[int, ...],
    backbone: str = "mobilenet",
    stem: str = "conv3x3",
    elm_attention: bool = True,
    info_recoupling: bool = True,
    binary: bool = True,
    pad_values: float = 0.0,
    kernel_clip: float = quantizers.BNEXT_CLIP,
    hard_below: float = quantizers.BNEXT_HARD_BELOW,
    head: shared.Head,
):
    """The network behind the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        widths: channels, see `VARIANTS`.
        backbone: "mobilenet" or "resnet".
        stem: "conv3x3", "conv7x7", or "thumbnail" for images of 32 pixels.
        elm_attention, info_recoupling: the switches of the paper's table 4.
        binary: False gives the 32-bit twin.
        pad_values, kernel_clip, hard_below: see `bnn_keras.nn.layers.progressive_conv`.
        head: what follows the last block.
    """
    if backbone not in BACKBONES:
        raise one_of("backbone", backbone, BACKBONES)
    options = dict(pad_values=pad_values, kernel_clip=kernel_clip, hard_below=hard_below)
    module = Module(info_recoupling, binary, mix_residual=backbone == "resnet", **options)
    x = stem_of(layers.Rotate180(name=ROTATION)(x), stem, widths[0])
    x = BACKBONES[backbone](x, widths, elm_attention, module)
    return head(prelu(x, "head/prelu"), initializer=torch_uniform)

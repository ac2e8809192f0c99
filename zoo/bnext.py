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

The networks first turn their image by 180 degrees. This makes TensorFlow's padding that of the authors'
PyTorch code, so that their checkpoints compute here what they compute there. Everything after that layer
is upside down, which changes no result.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from bnn_keras.errors import UserError
from bnn_keras.nn import layers
from bnn_keras.settings.kinds import Choice, Number, Numbers, Setting, Switch
from zoo import mobilenet, pytorch, shared
from zoo.checkpoints import bnext as checkpoints
from zoo.paper import Paper
from zoo.pytorch import mean, multiply, prelu

# widths: input channels of every block, and output channels of the last; the first are the stem's.
VARIANTS: dict[str, dict] = {
    "bnext_t": dict(widths=(32, 64, *[128] * 2, *[256] * 2, *[512] * 6, *[1024] * 2)),
    "bnext_s": dict(widths=(48, 96, *[192] * 2, *[384] * 2, *[768] * 6, *[1536] * 2)),
    "bnext_m": dict(widths=(48, 96, *[192] * 4, *[384] * 4, *[768] * 8, *[1536] * 4)),
    "bnext_l": dict(widths=(64, 128, *[256] * 4, *[512] * 4, *[1024] * 16, *[2048] * 4)),
    # Two blocks of each width, as ResNet-18. The released code makes its kernels binary earlier.
    "bnext18": dict(widths=(64, 128, 256, 512), backbone="resnet", stem="conv7x7", hard_below=1e-5),
}

RECIPES = {**dict.fromkeys(VARIANTS, "bnext"), "bnext_l": "bnext_l", "bnext18": "bnext18"}

SQUEEZE = 8  # channels of the squeeze-and-expand branch to one between its two layers
KERNEL_DEVIATION = 0.001  # of the latent weights of binary kernels at first
CLIP = 1.5  # of gradients of the activations' signs, and of latent weights
HARD_BELOW = 1e-7  # temperature below which a kernel is its sign
ROTATION = "upside_down"  # name of the layer that turns the image


Downsample = Callable[[tf.Tensor, str], tf.Tensor]


class Module:
    """A binary convolution with its processing, and a residual connection around it (figures 3c and 4).

    Args:
        info_recoupling: scale the output of the convolution by a squeeze-and-expand branch, which takes
            both its input and its output.
        binary: False gives the 32-bit twin.
        mix_residual: the branch takes the residual in place of the input (BNext-18's released code).
        conv_options: `pad_values`, `kernel_clip`, `hard_below` of `bnn_keras.nn.layers.progressive_conv`.
    """

    def __init__(
        self,
        info_recoupling: bool = True,
        binary: bool = True,
        mix_residual: bool = False,
        **conv_options: Any,
    ) -> None:
        self.info_recoupling, self.binary, self.mix_residual = info_recoupling, binary, mix_residual
        self.conv_options = conv_options

    def plain(
        self,
        x: tf.Tensor,
        kernel_size: int,
        name: str,
        strides: int = 1,
        downsample: Downsample | None = None,
        input_mean: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """A module without element-wise attention.

        Args:
            x: the input, [batch, height, width, channels].
            kernel_size: of the binary convolution.
            name: of the module.
            strides: step in pixels.
            downsample: makes the residual if it needs another number of channels.
            input_mean: mean of the residual, [batch, 1, 1, channels], if another module computes it already.
        """
        residual = _residual(x, f"{name}/pool", name, strides, downsample)
        y = self.process(x, residual.shape[-1], kernel_size, name, strides)
        if self.info_recoupling:
            seen = mean(residual, f"{name}/input_mean") if input_mean is None else input_mean
            y = multiply(y, self.attention(seen, y, name), f"{name}/recoupled")
            y = shared.batch_norm(y, f"{name}/recoupled_bn")
        return tf.keras.layers.Add(name=name)([y, residual])

    def elm(
        self,
        x: tf.Tensor,
        kernel_size: int,
        name: str,
        strides: int = 1,
        downsample: Downsample | None = None,
    ) -> tf.Tensor:
        """A module with element-wise attention: its output times the residual (section 3.2)."""
        residual = prelu(x, f"{name}/residual_prelu")
        residual = _residual(residual, f"{name}/residual_pool", name, strides, downsample)
        y = self.process(x, residual.shape[-1], kernel_size, name, strides)
        if self.info_recoupling:
            seen = residual if self.mix_residual else _pooled(x, strides, name)
            y = multiply(y, self.attention(mean(seen, f"{name}/input_mean"), y, name), f"{name}/recoupled")
        y = shared.batch_norm(multiply(y, residual, f"{name}/elm"), f"{name}/elm_bn")
        return tf.keras.layers.Add(name=name)([y, residual])

    def process(self, x: tf.Tensor, filters: int, kernel_size: int, name: str, strides: int) -> tf.Tensor:
        """Bias, sign, binary convolution, BatchNorm, PReLU."""
        x = layers.Bias(name=f"{name}/bias")(x)
        if self.binary:
            x = layers.progressive_conv(
                filters,
                kernel_size,
                strides=strides,
                activation_clip=CLIP,
                kernel_initializer=tf.keras.initializers.RandomNormal(stddev=KERNEL_DEVIATION),
                name=f"{name}/conv",
                **self.conv_options,
            )(x)
        else:
            x = pytorch.conv(shared.relu(x, f"{name}/relu"), filters, kernel_size, f"{name}/conv", strides)
        return prelu(shared.batch_norm(x, f"{name}/bn"), f"{name}/prelu")

    def attention(self, input_mean: tf.Tensor, y: tf.Tensor, name: str) -> tf.Tensor:
        """The squeeze-and-expand branch over the mix of input and output, [batch, 1, 1, channels]."""
        mix = layers.Mix(name=f"{name}/mix")([input_mean, mean(y, f"{name}/output_mean")])
        channels = mix.shape[-1]
        squeezed = pytorch.conv(mix, channels // SQUEEZE, 1, f"{name}/squeeze", use_bias=True)
        squeezed = shared.relu(squeezed, f"{name}/squeeze_relu")
        expanded = pytorch.conv(squeezed, channels, 1, f"{name}/expand", use_bias=True)
        return tf.keras.layers.Activation("sigmoid", name=f"{name}/sigmoid")(expanded)


def _residual(x: tf.Tensor, pool: str, name: str, strides: int, downsample: Downsample | None) -> tf.Tensor:
    if downsample is not None:
        return downsample(x, name)
    return x if strides == 1 else shared.average_pool(x, pool)


def _pooled(x: tf.Tensor, strides: int, name: str) -> tf.Tensor:
    """A tensor with the same mean as x after pooling: where the edges are even that is x itself."""
    even = strides == 1 or all(edge % 2 == 0 for edge in x.shape[1:3])
    return x if even else shared.average_pool(x, f"{name}/pool")


def mobilenet_blocks(x: tf.Tensor, widths: tuple[int, ...], elm_attention: bool, module: Module) -> tf.Tensor:
    """Blocks of a 3x3 and a 1x1 module, laid out as in MobileNet-v1; two 1x1 modules double the width."""
    for number, (width, after, strides) in enumerate(mobilenet.block_plan(widths), start=1):
        name = f"block{number}"
        with_elm = elm_attention and number % 2 == 0
        x = (module.elm if with_elm else module.plain)(x, 3, f"{name}_3x3", strides)
        if after == width:
            x = module.plain(x, 1, f"{name}_1x1")
        else:
            seen = mean(x, f"{name}_1x1/input_mean") if module.info_recoupling else None
            halves = [module.plain(x, 1, f"{name}_1x1_{half}", input_mean=seen) for half in (1, 2)]
            x = tf.keras.layers.Concatenate(name=f"{name}_1x1")(halves)
    return x


def resnet_blocks(x: tf.Tensor, widths: tuple[int, ...], elm_attention: bool, module: Module) -> tf.Tensor:
    """Blocks of two 3x3 modules, as ResNet-18 has them."""
    for section, width in enumerate(widths, start=1):
        for block in (1, 2):
            name = f"section{section}_block{block}_3x3"
            grows = x.shape[-1] != width
            first = module.elm if elm_attention else module.plain
            x = first(x, 3, f"{name}_1", 2 if grows else 1, _downsample(width) if grows else None)
            x = module.plain(x, 3, f"{name}_2")
    return x


def _downsample(width: int) -> Downsample:
    def downsample(residual: tf.Tensor, name: str) -> tf.Tensor:
        residual = shared.average_pool(residual, f"{name}/residual_pool")
        residual = pytorch.conv(residual, width, 1, f"{name}/residual_conv")
        return shared.batch_norm(residual, f"{name}/residual_bn")

    return downsample


def stem_layers(x: tf.Tensor, kind: str, filters: int) -> tf.Tensor:
    """The first layers: "conv3x3" (half the edge), "conv7x7" with pooling (a quarter), "thumbnail" (all)."""
    if kind == "conv7x7":
        x = shared.batch_norm(pytorch.conv(x, filters, 7, "stem/conv", 2), "stem/bn")
        return shared.max_pool(x, 3, "stem")
    return shared.batch_norm(pytorch.conv(x, filters, 3, "stem/conv", 2 if kind == "conv3x3" else 1), "stem")


BACKBONES = {"mobilenet": mobilenet_blocks, "resnet": resnet_blocks}


def network(
    x: tf.Tensor,
    *,
    widths: tuple[int, ...],
    backbone: str = "mobilenet",
    stem: str = "conv3x3",
    elm_attention: bool = True,
    info_recoupling: bool = True,
    binary: bool = True,
    pad_values: float = 0.0,
    kernel_clip: float = CLIP,
    hard_below: float = HARD_BELOW,
    head: shared.Head,
) -> tf.Tensor:
    """The network after the normalisation.

    Args:
        x: images, [batch, height, width, 3].
        widths: channels, see `VARIANTS`.
        backbone: "mobilenet" or "resnet".
        stem: "conv3x3", "conv7x7", or "thumbnail" for images of 32 pixels.
        elm_attention, info_recoupling: the switches of the paper's table 4.
        binary: False gives the 32-bit twin.
        pad_values, kernel_clip, hard_below: see `bnn_keras.nn.layers.progressive_conv`.
        head: what comes after the last block.
    """
    options = dict(pad_values=pad_values, kernel_clip=kernel_clip, hard_below=hard_below)
    module = Module(info_recoupling, binary, mix_residual=backbone == "resnet", **options)
    x = stem_layers(layers.Rotate180(name=ROTATION)(x), stem, widths[0])
    x = BACKBONES[backbone](x, widths, elm_attention, module)
    return head(prelu(x, "head/prelu"), initializer=pytorch.uniform)


def check(settings: Mapping[str, Any]) -> None:
    """Raise UserError for widths that the blocks cannot have."""
    widths = settings["widths"]
    plan = list(mobilenet.block_plan(widths)) if settings.get("backbone") != "resnet" else []
    if not widths or any(after not in (width, 2 * width) for width, after, _ in plan):
        raise UserError(f"widths must stay the same or double from block to block. Received: {widths}.")
    if min(widths) < SQUEEZE:
        raise UserError(f"widths must be at least {SQUEEZE}. Received: {widths}.")


PAPER = Paper(
    network=network,
    settings={
        "widths": Setting(
            "input channels of every block, and output channels of the last", Numbers(shared.COUNT)
        ),
        "backbone": Setting("layout of the blocks", Choice(tuple(BACKBONES))),
        "stem": Setting("first layers", Choice(("conv3x3", "conv7x7", shared.THUMBNAIL))),
        "elm_attention": Setting("element-wise attention in every other 3x3 module", Switch()),
        "info_recoupling": Setting("squeeze-and-expand branches", Switch()),
        "binary": shared.BINARY,
        "pad_values": shared.PAD_VALUES,
        "kernel_clip": Setting("largest latent weight of a binary kernel", Number(0, open_low=True)),
        "hard_below": Setting("temperature below which a kernel is its sign", Number(0, 1)),
    },
    variants=VARIANTS,
    recipes=RECIPES,
    other_recipes={"cifar10": "bnext_cifar10", "cifar100": "bnext_cifar100"},
    # torchvision's constants for ImageNet, and the authors' own for CIFAR.
    normalizations={"imagenet2012": "larq_zoo", "cifar10": "bnext_cifar", "cifar100": "bnext_cifar"},
    check=check,
    torch_naming=checkpoints.naming,
)

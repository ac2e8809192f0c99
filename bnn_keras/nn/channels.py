"""Layers that add channels of zeros to a feature map, or leave channels out."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from typing_extensions import override

from bnn_keras.nn import bounds
from bnn_keras.nn.registration import register_ours


@register_ours(bound=bounds.pads, elementwise=True)
class PadChannels(tf.keras.layers.Layer):
    """Put channels of zeros before and after those of a feature map, [batch, height, width, channels].

    Args:
        before, after: numbers of channels.
    """

    def __init__(self, before: int, after: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.before, self.after = before, after

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.pad(inputs, [[0, 0], [0, 0], [0, 0], [self.before, self.after]])

    @override
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "before": self.before, "after": self.after}


@register_ours(moves=True, stores=lambda layer: [len(layer.channels)])
class TakeChannels(tf.keras.layers.Layer):
    """Some channels of a feature map, [batch, height, width, channels].

    Args:
        channels: their numbers, from 0.
    """

    def __init__(self, channels: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = [int(channel) for channel in channels]

    @override
    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.gather(inputs, self.channels, axis=-1)

    @override
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels}


def concatenate(maps: Sequence[tf.Tensor | None], name: str, zeros: str) -> tf.Tensor:
    """The channels of several feature maps one after another.

    Args:
        maps: [batch, height, width, channels] each. None stands for zeros; at least one is not None.
        name: of the last layer.
        zeros: name of the layers before it, each with the number of a map.
    """
    present = [(number, found) for number, found in enumerate(maps) if found is not None]
    ends = [*(number for number, _ in present[1:]), len(maps)]
    parts: list[tf.Tensor] = []
    for (number, part), end in zip(present, ends, strict=True):
        before, after = 0 if parts else number, end - number - 1
        if before or after:
            own_name = name if len(present) == 1 else f"{zeros}{number + 1}"
            size = part.shape[-1]
            part = PadChannels(before * size, after * size, name=own_name)(part)
        parts.append(part)
    return tf.keras.layers.Concatenate(name=name)(parts) if len(parts) > 1 else parts[0]

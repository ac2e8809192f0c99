"""Sign quantizers with a straight-through gradient (MeliusNet, section 3.3, equations 1 to 3).

Both give +1 at 0. They are Larq's `SteSign`, which is registered with Keras, saves without code
and is what the Larq Compute Engine recognises; here are the papers' settings of it.
"""

import larq as lq
import tensorflow as tf

MELIUSNET_CLIP = 1.3


def activation_sign(clip: float = MELIUSNET_CLIP) -> lq.quantizers.SteSign:
    """Sign of the activations, the gradient passed where |x| <= `clip`."""
    return lq.quantizers.SteSign(clip_value=clip)


def kernel_sign(clip: float | None = None) -> lq.quantizers.SteSign:
    """Sign of a kernel.

    Args:
        clip: None passes the whole gradient, as the released code does; a number cuts it where
            |w| > `clip`, the other reading of equation 3.
    """
    return lq.quantizers.SteSign(clip_value=clip)


def kernel_constraint(clip: float | None = None) -> tf.keras.constraints.Constraint | None:
    """The constraint that goes with `kernel_sign(clip)`: a cut gradient needs clipped weights."""
    return None if clip is None else lq.constraints.WeightClip(clip)

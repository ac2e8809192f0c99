"""Knowledge distillation as the BNext paper does it: any Keras teacher, one flag.

losses, ensemble, attention      what is compared, and how
complexity, published,
recommendation                   which teachers to choose
teacher, sources, applications   one teacher, and where it comes from
assistants, panel                who teaches when
views, cache                     teachers that are asked once
trainer, settings                what Keras fits, and the flags that lead to it
"""

from bnn_keras.distillation.settings import Distillation, define_flags, resolve, train
from bnn_keras.distillation.trainer import Distilled, Objective

__all__ = ["Distillation", "Distilled", "Objective", "define_flags", "resolve", "train"]

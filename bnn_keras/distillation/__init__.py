"""Knowledge distillation as the BNext paper does it, with any Keras network as a teacher.

losses, ensemble, attention      what is compared, and how
teacher, sources, applications   a teacher, and where it comes from
assistants, panel                who teaches when
views, cache                     teachers whose logits are computed once
trainer, lessons                 what Keras fits, and a whole training with teachers
"""

from bnn_keras.distillation.lessons import Lessons, prepare, train
from bnn_keras.distillation.trainer import Distilled, Objective

__all__ = ["Distilled", "Lessons", "Objective", "prepare", "train"]

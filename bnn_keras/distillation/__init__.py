"""Knowledge distillation as in the BNext paper, with any Keras network as a teacher.

losses, ensemble, attention      how student and teachers are compared
teacher, sources, applications   a teacher, and where teachers come from
assistants, panel                the teachers of an epoch
views, cache                     teachers whose logits are computed once
trainer, lessons                 the model that Keras fits, and a whole training with teachers
"""

from bnn_keras.distillation.lessons import Lessons, prepare, train
from bnn_keras.distillation.trainer import Distilled, Objective

__all__ = ["Distilled", "Lessons", "Objective", "prepare", "train"]

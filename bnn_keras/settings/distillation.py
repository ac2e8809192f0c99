"""What a student learns from and how: settings without the computation.

`bnn_keras.distillation` computes what is set here.
"""

import dataclasses

from bnn_keras.errors import UserError
from bnn_keras.settings.kinds import COUNT, Choice, Number, Optional, Text, Texts, convert_fields, setting

ENSEMBLES = ("paper", "released")
PRECISIONS = ("float32", "bfloat16", "float16")
CACHED_VIEWS = 1  # views of each image in a cache, unless `views` says otherwise

_TEACHER = "a run folder, FILE.keras, NAME of keras.applications, or NAME=FILE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """The settings of knowledge distillation. Without a teacher nothing is distilled.

    Args:
        teacher: see `bnn_keras.distillation.sources.read`.
        assistants: further teachers. Each of them teaches for an equal part of the training, one after
            another (BNext, section 5.1).
        ensemble: how the losses of teacher and assistant are weighted: as in the paper's equation 4, or as
            in the released code.
        teacher_temperature: of the softmax of teacher and student.
        label_weight: share of the cross-entropy with the labels in the loss.
        teacher_precision: of the teachers' computation.
        attention_weight: weight of attention matching with the teacher.
        attention_stages: names of the stages to match. If there are none, the last common stage of each
            size is matched.
        views: fixed views of each training image, one after another from epoch to epoch. If it is None,
            every epoch has new ones.
        cache_teacher: a folder for the teachers' logits, which are then computed once for each view.

    Raises:
        UserError: a value that is not valid, or settings that do not go together.
    """

    teacher: str | None = setting("whom to learn from", Optional(Text(_TEACHER)), None)
    assistants: tuple[str, ...] = setting(
        "further teachers, each for an equal part of the training", Texts("teachers"), ()
    )
    ensemble: str = setting("how teachers are weighted", Choice(ENSEMBLES), "paper")
    teacher_temperature: float = setting(
        "of the distributions that are compared", Number(0, open_low=True), 1.0
    )
    label_weight: float = setting("share of the labels' own loss", Number(0, 1), 0.0)
    teacher_precision: str = setting("of the teachers' computation", Choice(PRECISIONS), "float32")
    attention_weight: float = setting("of attention matching with the teacher", Number(0), 0.0)
    attention_stages: tuple[str, ...] = setting(
        "stages to match; the last common one of each size if not given", Texts("names of stages"), ()
    )
    views: int | None = setting(
        "fixed views of the images to cycle through; new ones each epoch if not given",
        Optional(COUNT),
        None,
    )
    cache_teacher: str | None = setting(
        f"folder for the teachers' logits, computed once ({CACHED_VIEWS} view unless --views is given)",
        Optional(Text("a folder")),
        None,
    )

    def __post_init__(self) -> None:
        convert_fields(self)
        if self.teacher is None:
            for field in dataclasses.fields(self):
                if field.name not in ("teacher", "views") and getattr(self, field.name) != field.default:
                    raise UserError(f"{field.name} goes with teacher, which is not given.")
        if self.attention_stages and not self.attention_weight:
            raise UserError("attention_stages goes with an attention_weight above 0.")
        if self.attention_weight and self.cache_teacher:
            raise UserError(
                "cache_teacher keeps logits only, and attention_weight needs the teacher itself: choose one."
            )

    @property
    def fixed_views(self) -> int | None:
        """Views of each image if they are fixed; None if every epoch has new ones."""
        return self.views or (CACHED_VIEWS if self.cache_teacher else None)

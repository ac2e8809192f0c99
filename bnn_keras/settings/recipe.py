"""What a training run is made of, as data: read from a file, changed by flags, printed."""

import dataclasses
import textwrap
from typing import Any

from bnn_keras.errors import UserError
from bnn_keras.settings.augmentation import Augmentation
from bnn_keras.settings.kinds import (
    COUNT,
    Choice,
    Kind,
    Number,
    Numbers,
    Optional,
    Switch,
    convert_value,
    setting,
)

IMAGENET = "imagenet2012"  # the name of the data set that most recipes are for

# The settings that only some optimizers and schedules have. Another optimizer starts from its own.
OPTIMIZER_KEYS: dict[str, tuple[str, ...]] = {
    "adam": ("beta_1", "beta_2", "epsilon"),
    "adamw": ("beta_1", "beta_2", "epsilon"),
    "bop": ("beta_1", "beta_2", "epsilon", "bop_threshold", "bop_gamma"),
    "radam": ("beta_1", "beta_2", "epsilon"),
    "radam_liu": ("beta_1", "beta_2", "epsilon"),
    "sgd": ("momentum", "cycle_momentum", "nesterov"),
}
SCHEDULE_KEYS: dict[str, tuple[str, ...]] = {
    "constant": ("warmup_epochs", "warmup_learning_rate"),
    "cosine": ("warmup_epochs", "warmup_learning_rate", "final_learning_rate"),
    "cosine_per_epoch": ("warmup_epochs", "warmup_learning_rate", "final_learning_rate"),
    "cosine_restarts": ("warmup_epochs", "warmup_learning_rate", "final_learning_rate", "restart_epochs"),
    "linear": ("warmup_epochs", "warmup_learning_rate", "final_learning_rate"),
    "one_cycle": ("warmup_learning_rate", "final_learning_rate", "cycle_share", "cycle_momentum"),
    "steps": ("warmup_epochs", "warmup_learning_rate", "milestones", "milestone_factor"),
}
KEYS_OF = {"optimizer": OPTIMIZER_KEYS, "schedule": SCHEDULE_KEYS}
NEEDED = {"cosine_restarts": "restart_epochs", "steps": "milestones"}
DECAY_GROUPS = ("released", "binary")
PRECISIONS = ("float32", "mixed_bfloat16")

_WHOLE = Number(0, whole=True)
_POSITIVE = Number(0, open_low=True)
_AMOUNT = Number(0)
_SHARE = Number(0, 1, open_high=True)
_DECAY = Number(0, 1, open_low=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(Augmentation):
    """The settings of a training: how images are augmented, the optimizer, its learning rate.

    The names of the fields are also the names of flags and the keys of TOML files. Every field says what
    it means and what is valid (`KINDS`). Values are checked when a recipe is made.

    Raises:
        UserError: a value of the wrong type or out of range, or one that the optimizer or the schedule does
            not use.

    Example:
        >>> import bnn_keras
        >>> recipe = bnn_keras.Recipe(epochs=90, batch_size=256, optimizer="adam", learning_rate=0.002)
        >>> recipe.override(epochs=10, mixup=0.2).epochs
        10
    """

    epochs: int = setting("passes over the training images", COUNT)
    batch_size: int = setting("images in a step, over all devices", COUNT)
    optimizer: str = setting("optimizer of the weights", Choice(tuple(OPTIMIZER_KEYS)))
    learning_rate: float = setting("peak of the learning rate", _POSITIVE)

    schedule: str = setting("how the learning rate changes", Choice(tuple(SCHEDULE_KEYS)), "cosine")
    warmup_epochs: int = setting("epochs of a linear rise to the peak, the first of all epochs", _WHOLE, 0)
    warmup_learning_rate: float = setting("learning rate at the start of the rise", _AMOUNT, 0.0)
    final_learning_rate: float = setting("learning rate at the end, for schedules that fall", _AMOUNT, 0.0)
    milestones: tuple[float, ...] = setting(
        "epochs after which the learning rate is multiplied", Numbers(_POSITIVE), ()
    )
    milestone_factor: float = setting("factor of the learning rate at each milestone", _DECAY, 0.1)
    restart_epochs: int | None = setting("epochs between restarts of the cosine", Optional(COUNT), None)
    cycle_share: float = setting("share of the steps that the cycle takes", _DECAY, 0.9)
    cycle_momentum: float | None = setting("momentum at the peak of the cycle", Optional(_SHARE), None)
    tail_epochs: int = setting("further epochs at a constant learning rate", _WHOLE, 0)
    tail_learning_rate: float = setting("learning rate of the further epochs", _AMOUNT, 0.0)
    extensions: tuple[int, ...] = setting(
        "epochs of each cosine that extends the run",
        Numbers(COUNT),
        (),
    )
    patience: int | None = setting(
        "epochs without a better accuracy until it stops early", Optional(COUNT), None
    )

    beta_1: float | None = setting(
        "decay of Adam's mean; the optimizer's own if none", Optional(_SHARE), None
    )
    beta_2: float | None = setting(
        "decay of Adam's variance; the optimizer's own if none", Optional(_SHARE), None
    )
    epsilon: float | None = setting(
        "added to Adam's root; the optimizer's own if none", Optional(_POSITIVE), None
    )
    momentum: float | None = setting("momentum of SGD; 0.9 if none", Optional(_SHARE), None)
    nesterov: bool = setting("Nesterov momentum (SGD)", Switch(), False)
    bop_threshold: float | None = setting("mean gradient that flips a weight (Bop)", Optional(_AMOUNT), None)
    bop_gamma: float | None = setting(
        "weight of a new gradient in Bop's mean gradient", Optional(_DECAY), None
    )
    weight_decay: float = setting("weight decay of every weight that has no other", _AMOUNT, 0.0)
    kernel_weight_decay: float | None = setting(
        "weight decay of the kernels that decay_groups names", Optional(_AMOUNT), None
    )
    decay_groups: str | None = setting(
        "weights with their own decay; released: all of rank 4",
        Optional(Choice(DECAY_GROUPS)),
        None,
    )
    clip_norm: float | None = setting(
        "largest norm of the whole gradient; 0 for no limit", Optional(_AMOUNT), None
    )

    accumulate: int = setting("parts of a batch, one after another, to save memory", COUNT, 1)
    ema_decay: float | None = setting(
        "of an average of the weights, which is measured and saved",
        Optional(Number(0, 1, open_low=True, open_high=True)),
        None,
    )
    freeze: bool = setting("train the classifier alone", Switch(), False)
    precision: str = setting(
        "of layers that are neither binary nor the last",
        Choice(PRECISIONS),
        "float32",
    )
    label_smoothing: float = setting("share of a label that is spread over all classes", Number(0, 1), 0.0)
    drop_path: float = setting("probability to drop a path, after a rise over all epochs", _SHARE, 0.0)
    temperature_decay: float | None = setting(
        "factor of a progressive kernel's temperature per epoch", Optional(_DECAY), None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check()

    @property
    def augmentation(self) -> Augmentation:
        """The part that says how images are augmented."""
        return Augmentation(**{field.name: getattr(self, field.name) for field in _AUGMENTATION})

    @property
    def planned_epochs(self) -> int:
        """The number of epochs before all extensions, those of the tail included."""
        return self.epochs + self.tail_epochs

    @property
    def all_epochs(self) -> int:
        """The number of epochs, those of the tail and of the extensions included."""
        return self.planned_epochs + sum(self.extensions)

    def extend(self, epochs: int) -> "Recipe":
        """A copy with more epochs, for a run that is to be continued.

        The epochs before remain as they were planned, whether or not they were trained already. The learning
        rate of the new ones falls from `learning_rate` to `final_learning_rate` along half a cosine: a warm
        restart (Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983).

        Args:
            epochs: of the whole run, with the new ones.

        Raises:
            UserError: fewer epochs than before.
        """
        if epochs < self.all_epochs:
            raise UserError(
                f"A run of {self.all_epochs} epochs can be extended and not shortened. "
                f"Received: epochs={epochs}."
            )
        further = epochs - self.all_epochs
        return self.replace(extensions=(*self.extensions, further)) if further else self

    def extends(self, other: "Recipe") -> bool:
        """Whether this is another recipe with further extensions."""
        return (
            self != other
            and self.extensions[: len(other.extensions)] == other.extensions
            and self.replace(extensions=other.extensions) == other
        )

    def replace(self, **changes: Any) -> "Recipe":
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def override(self, **given: Any) -> "Recipe":
        """A copy with the user's values.

        Another number of epochs rescales everything that is counted in epochs, keeps the share of the
        training after which kernels are binary, and leaves out the tail and the extensions. Another
        optimizer starts from its own settings; another schedule keeps the settings that both have.
        """
        changes: dict = {}
        epochs = given.get("epochs", self.epochs)
        if epochs != self.epochs:
            changes |= self._rescaled(convert_value("epochs", KINDS["epochs"], epochs))
        if given.get("optimizer", self.optimizer) != self.optimizer:
            changes |= {key: DEFAULTS[key] for key in OPTIMIZER_KEYS[self.optimizer]}
        schedule = given.get("schedule", self.schedule)
        if schedule in SCHEDULE_KEYS:
            changes |= {key: DEFAULTS[key] for key in _unused("schedule", schedule)}
        return self.replace(**{**changes, **given})

    def _rescaled(self, epochs: int) -> dict:
        ratio = epochs / self.epochs
        rescaled = {
            "epochs": epochs,
            "warmup_epochs": min(round(self.warmup_epochs * ratio), epochs - 1),
            "milestones": tuple(milestone * ratio for milestone in self.milestones),
            "tail_epochs": 0,
            "extensions": (),
        }
        if self.restart_epochs is not None:
            rescaled["restart_epochs"] = max(1, round(self.restart_epochs * ratio))
        if self.temperature_decay is not None:
            rescaled["temperature_decay"] = self.temperature_decay ** (1 / ratio)
        return rescaled

    def scale_learning_rate(self, batch_size: int) -> "Recipe":
        """A copy with another batch size, and all learning rates in proportion to it."""
        ratio = batch_size / self.batch_size
        rates = {key: getattr(self, key) * ratio for key in KINDS if key.endswith("learning_rate")}
        return self.replace(batch_size=batch_size, **rates)

    def _check(self) -> None:
        """Raise UserError for values that do not go together."""
        self._check_use("optimizer")
        self._check_use("schedule")
        needed = NEEDED.get(self.schedule)
        if needed and not getattr(self, needed):
            raise UserError(f"The schedule {self.schedule} needs {needed}.")
        if self.cycle_momentum is not None and self.momentum is None:
            raise UserError("cycle_momentum needs momentum, which is where the cycle starts and ends.")
        if self.warmup_epochs >= self.epochs:
            raise UserError(
                f"warmup_epochs must be less than the {self.epochs} epochs. Received: {self.warmup_epochs}."
            )
        if (self.kernel_weight_decay is None) != (self.decay_groups is None):
            raise UserError(
                "kernel_weight_decay and decay_groups go together. Received: "
                f"kernel_weight_decay={self.kernel_weight_decay}, decay_groups={self.decay_groups}."
            )

    def _check_use(self, choice: str) -> None:
        name = getattr(self, choice)
        for key in sorted(_unused(choice, name)):
            if getattr(self, key) != DEFAULTS[key]:
                raise UserError(
                    f"The {choice} {name} does not use {key}. Received: {_shown(getattr(self, key))}; "
                    f"it takes {', '.join(KEYS_OF[choice][name])}."
                )

    def lines(self, kind: str, width: int = 80) -> list[str]:
        """The recipe as it is printed: what every recipe gives, and what is not a default.

        Args:
            kind: of the data, whose standards are defaults too; a key of `STANDARDS`.
            width: of a line, in characters.
        """
        values = {key: getattr(self, key) for key in KINDS}
        standards = DEFAULTS | dataclasses.asdict(Augmentation().effective(kind))
        usual = {key: (default, standards[key]) for key, default in DEFAULTS.items()}
        shown = [key for key in KINDS if key in (*REQUIRED, *KEYS_OF) or values[key] not in usual[key]]
        text = ", ".join(f"{key}={_shown(values[key])}" for key in shown)
        return textwrap.wrap(
            f"recipe: {text}", width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )


_AUGMENTATION = dataclasses.fields(Augmentation)
OWN_FIELDS = dataclasses.fields(Recipe)[len(_AUGMENTATION) :]
# In help and in print the inherited fields come last.
FIELDS = OWN_FIELDS + _AUGMENTATION
KINDS: dict[str, Kind] = {field.name: field.metadata["kind"] for field in FIELDS}
DEFAULTS = {field.name: field.default for field in FIELDS}
REQUIRED = [key for key, default in DEFAULTS.items() if default is dataclasses.MISSING]


def _unused(choice: str, name: str) -> set[str]:
    """The keys that only other optimizers or schedules have."""
    return set().union(*KEYS_OF[choice].values()) - set(KEYS_OF[choice][name])


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_shown, value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)

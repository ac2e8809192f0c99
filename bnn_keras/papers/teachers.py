"""What the BNext paper says about teachers: Tables 8 and 9, and knowledge complexity."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class PublishedTeacher:
    """A row of Table 8.

    Args:
        title: as printed.
        accuracy: the teacher's top-1 accuracy on ImageNet at 224 pixels, a fraction.
        complexity: the printed knowledge complexity.
        student_train, student_test: top-1 accuracy of BNext-T taught by it, after 128 epochs, fractions.
        params: trainable parameters, if the network is not built here and they cannot be counted.
        source: of `params`.
    """

    title: str
    accuracy: float
    complexity: float
    student_train: float
    student_test: float
    params: int | None = None
    source: str = ""


TABLE_8: dict[str, PublishedTeacher] = {
    "resnet34": PublishedTeacher("ResNet-34", 0.7331, 1.487, 0.7282, 0.7112),
    "resnet50": PublishedTeacher("ResNet-50", 0.7613, 1.539, 0.7159, 0.7090),
    "resnet101": PublishedTeacher("ResNet-101", 0.7737, 1.768, 0.7238, 0.7076),
    "efficientnetb0": PublishedTeacher("EfficientNet-B0", 0.7753, 0.893, 0.7216, 0.7132),
    "efficientnetb2": PublishedTeacher("EfficientNet-B2", 0.7806, 1.103, 0.7191, 0.7125),
    "efficientnetb4": PublishedTeacher("EfficientNet-B4", 0.7926, 1.405, 0.7388, 0.7063),
    "convnext_tiny": PublishedTeacher("ConvNext-T", 0.8252, 1.552, 0.7363, 0.7063),
    "convnext_small": PublishedTeacher("ConvNext-S", 0.8366, 1.786, 0.7429, 0.7043),
    "convnext_base": PublishedTeacher("ConvNext-B", 0.8406, 2.027, 0.7522, 0.6974),
    "resnext101_32x8d": PublishedTeacher(
        "ResNext101-32x8D", 0.7932, 2.053, 0.7542, 0.6967, 88_791_336, "torchvision's documentation"
    ),
}


@dataclasses.dataclass(frozen=True)
class Selection:
    """The teachers of a student.

    Args:
        teacher: the strong teacher, of the whole training.
        assistants: further teachers, one after the other.
    """

    teacher: str
    assistants: tuple[str, ...] = ()


TABLE_9: dict[str, Selection] = {
    "bnext18": Selection("resnet34"),
    "bnext_t": Selection("efficientnetb2", ("efficientnetb0",)),
    "bnext_s": Selection("efficientnetb2", ("efficientnetb0",)),
    "bnext_m": Selection("efficientnetb4", ("efficientnetb0", "efficientnetb2")),
    "bnext_l": Selection("convnext_tiny", ("efficientnetb0", "efficientnetb4", "convnext_tiny")),
}


def accuracy(name: str) -> float | None:
    """A teacher's accuracy in Table 8, a fraction, or None; its name may lack underscores."""
    rows = {key.replace("_", ""): row for key, row in TABLE_8.items()}
    row = rows.get(name.replace("_", "").lower())
    return None if row is None else row.accuracy


def knowledge_complexity(params: int, accuracy: float) -> float:
    """What a teacher's accuracy costs in parameters: log10(1 + params / (accuracy * 10**6 + 10**-8)).

    BNext, section 4.1, equation 3. The base of the logarithm and the scale of the accuracy are not
    printed; these give the ten scores of Table 8.

    Args:
        params: the teacher's trainable parameters.
        accuracy: its top-1 accuracy on held-out images, a fraction.
    """
    return math.log10(1 + params / (accuracy * 1e6 + 1e-8))

"""Time a training step with a teacher, beside the student's own step and the teacher's forward pass.

bnn benchmark distill --model=meliusnet22 --teacher=resnet18
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.benchmark import timing
from bnn_keras.cli.flags import Flag
from bnn_keras.settings.kinds import Text

if TYPE_CHECKING:
    import tensorflow as tf

ALONE, ASKED, TAUGHT, CACHED = "student's step", "teacher's forward pass", "taught", "taught from a cache"
LIMIT = 1.05
FLAGS = [
    *timing.step_flags("meliusnet22"),
    Flag("teacher", Text("a name of the zoo"), "teacher, with random weights", "resnet18"),
]


def run(values: FlagValues, positional: list[str]) -> None:
    """Train in turns on the same batch and print the medians."""
    flags.no_more(positional)
    contestants = _contestants(values)
    times = timing.interleaved(contestants, values.repeats, timing.WARM_UP)
    whole = times.ratio(TAUGHT, ALONE, ASKED)
    print(
        f"{values.model} taught by {values.teacher} at {values.image_size} pixels, a step of "
        f"{values.batch_size} images with Adam, {values.repeats} of each, interleaved; medians"
    )
    for name in contestants:
        print(f"{name}: {1000 * times.median(name):.1f} ms")
    print(f"{TAUGHT} over {ALONE} + {ASKED}: {whole:.3f}, at most {LIMIT} wanted")
    print(f"{CACHED} over {ALONE}: {times.ratio(CACHED):.3f}, at most {LIMIT} wanted")
    print(f"A/A ratio of the {ALONE}: {times.aa_ratio:.3f}")
    print(timing.machine())


def _contestants(values: FlagValues) -> dict[str, Callable[[], object]]:
    import tensorflow as tf

    import zoo
    from bnn_keras.cli.benchmark.steps import CLASSES, noise, training_step
    from bnn_keras.distillation.panel import IMAGE, KNOWLEDGE, Panel, read_answers
    from bnn_keras.distillation.teacher import Teacher
    from bnn_keras.distillation.trainer import Distilled, Objective

    shape = (values.image_size, values.image_size, 3)
    images, labels = noise(shape, values.batch_size)
    network = zoo.build(values.teacher, shape, CLASSES)
    network.trainable = False
    teacher = Teacher(values.teacher, network)
    cached = {IMAGE: images, KNOWLEDGE: tf.stack([teacher(images)[0]], axis=1)}

    def student() -> "tf.keras.Model":
        return zoo.build(values.model, shape, CLASSES)

    ask = tf.function(lambda: teacher(images)[0])
    return {
        ALONE: training_step(student(), images, labels),
        ASKED: lambda: ask().numpy(),
        TAUGHT: training_step(Distilled(student(), Panel(teacher), Objective(), 1), images, labels),
        CACHED: training_step(Distilled(student(), read_answers, Objective(), 1), cached, labels),
    }

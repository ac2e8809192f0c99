"""Name what is in images.

bnn predict PATH IMAGE [IMAGE ...] [--top=5]

PATH is a run folder, a .keras, a .weights.h5 or a .tflite file.
"""

from absl.flags import FlagValues

from bnn_keras.cli import flags
from bnn_keras.cli.flags import COUNT, Flag
from bnn_keras.errors import UserError

FLAGS = [Flag("top", COUNT, "classes to name for each image", 5), flags.which_weights("weights")]


def run(values: FlagValues, positional: list[str]) -> None:
    """Print a line for each image."""
    from bnn_keras.runs import evaluation, trained

    if len(positional) < 2:
        received = " ".join(positional) or "nothing"
        raise UserError(f"Give a PATH ({trained.VALID}) and at least one image. Received: {received}.")
    path, *image_files = positional
    network = trained.load(path, values.weights)
    # All images are read before the first answer, so that a broken one leaves no partial output.
    images = [network.read_image(file) for file in image_files]
    print(network.path)
    for file, image in zip(image_files, images, strict=True):
        (answer,) = evaluation.predict(network, image[None], values.top)
        print(f"{file}: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in answer))

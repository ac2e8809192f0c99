"""Means and standard deviations per RGB channel, on the scale [0, 255], by data set."""

from bnn_keras.errors import one_of

MEAN_STD: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    # BMXNet-v2's constants for ImageNet, MeliusNet's released code.
    "imagenet2012": ((123.68, 116.779, 103.939), (58.393, 57.12, 57.375)),
    # BMXNet-v2's constants for CIFAR-10, there on the scale [0, 1].
    "cifar10": (
        (0.4914 * 255, 0.4822 * 255, 0.4465 * 255),
        (0.2023 * 255, 0.1994 * 255, 0.2010 * 255),
    ),
    # larq-zoo's and torchvision's constants for ImageNet, there on the scale [0, 1].
    "larq_zoo": (
        (0.485 * 255, 0.456 * 255, 0.406 * 255),
        (0.229 * 255, 0.224 * 255, 0.225 * 255),
    ),
    # BNext's released code for CIFAR-10 and CIFAR-100, there on the scale [0, 1]; its constants for
    # ImageNet are larq_zoo's.
    "bnext_cifar": (
        (0.507 * 255, 0.487 * 255, 0.441 * 255),
        (0.267 * 255, 0.256 * 255, 0.276 * 255),
    ),
    # BNAS's released code for CIFAR-10, there on the scale [0, 1].
    "bnas_cifar10": (
        (0.4914 * 255, 0.4822 * 255, 0.4465 * 255),
        (0.2470 * 255, 0.2435 * 255, 0.2616 * 255),
    ),
    # Measured: scikit-learn's training digits, upsampled to 32 pixels, grey in three channels.
    "digits": ((77.98, 77.98, 77.98), (82.62, 82.62, 82.62)),
}
DEFAULT = "imagenet2012"
NONE = "none"


def constants(normalization: str | tuple | None) -> tuple | None:
    """The (mean, std) of a name, of a pair of triples, or of None (ImageNet's).

    Returns:
        A pair of triples, or None for "none".

    Raises:
        UserError: an unknown name.
    """
    if normalization is None:
        return MEAN_STD[DEFAULT]
    if not isinstance(normalization, str):
        return normalization
    if normalization == NONE:
        return None
    if normalization not in MEAN_STD:
        raise one_of("normalization", normalization, [*MEAN_STD, NONE])
    return MEAN_STD[normalization]

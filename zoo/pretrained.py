"""The weights for ImageNet that others have published, and where they lie.

larq-zoo's addresses, digests and accuracies stand in its source (larq_zoo.literature, 2.4.0), those of BNext
in its authors' README (https://github.com/hpi-xnor/BNext). Both repositories are under
Apache-2.0, and name no other licence for the weights.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnn_keras import cache, downloads
from bnn_keras.errors import UserError
from bnn_keras.settings.checkpoint import IMAGENET
from zoo import binarydensenet, meliusnet, resnete

FOLDER = "weights"  # of the cache
_LARQ_ZOO = "https://github.com/larq/zoo/releases/download"
_DRIVE = "https://drive.google.com/file/d"
# Named in full, as the weights belong to these settings and not to the defaults, which depend on the data.
_BINARY = {"binary": True, "pad_values": 0.0}
_MELIUSNET = {**_BINARY, "stem": "grouped", **meliusnet.PAPER.larq_zoo_settings}
_DENSENET = {**_BINARY, **binarydensenet.PAPER.larq_zoo_settings}
_RESNETE = {**_BINARY, **resnete.PAPER.larq_zoo_settings}
_BNEXT = {**_BINARY, "stem": "conv3x3", "normalization": "larq_zoo"}


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """Published weights of one network.

    Args:
        address: of the file; of the page where a browser gets it, if there is no digest.
        file: its name in the cache.
        top1: accuracy on ImageNet's validation images as published, in per cent.
        settings: of `zoo.build`, with which the network computes what its authors' does.
        evaluation: the keys of a recipe that say how its authors prepare an image.
        publisher, licence: of the weights.
        sha256: of the file; None if a program cannot download it and nobody has published its digest.
    """

    address: str
    file: str
    top1: float
    settings: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    publisher: str
    licence: str
    sha256: str | None = None

    @property
    def description(self) -> str:
        """Whose weights these are, in words."""
        return f"published by {self.publisher}: top-1 {self.top1} % on ImageNet; licence: {self.licence}"


def _larq_zoo(place: str, sha256: str, top1: float, settings: Mapping[str, Any]) -> Pretrained:
    return Pretrained(
        f"{_LARQ_ZOO}/{place}",
        place.rpartition("/")[2],
        top1,
        settings,
        # The central 224 / 256 of the shorter side, resized: larq_zoo.training.data.
        {"interpolation": "bicubic", "evaluation_edge": 256},
        "larq-zoo",
        "Apache-2.0",
        sha256,
    )


def _bnext(name: str, key: str, top1: float) -> Pretrained:
    return Pretrained(
        f"{_DRIVE}/{key}/view",
        f"{name}.pth.tar",
        top1,
        _BNEXT,
        {"interpolation": "bicubic", "evaluation_edge": 235},
        "BNext's authors",
        "Apache-2.0",
    )


PRETRAINED: dict[str, Pretrained] = {
    "meliusnet22": _larq_zoo(
        "meliusnet22-v0.1.0/meliusnet22_weights.h5",
        "c1ba85e8389ae326009665ec13331e49fc3df4d0f925fa8553e224f7362c18ed",
        62.4,
        _MELIUSNET,
    ),
    "binarydensenet28": _larq_zoo(
        "binary_densenet-v0.1.0/binary_densenet_28_weights.h5",
        "21fe3ca03eed244df9c41a2219876fcf03e73800932ec96a3e2a76af4747ac53",
        60.91,
        _DENSENET,
    ),
    "binarydensenet37": _larq_zoo(
        "binary_densenet-v0.1.0/binary_densenet_37_weights.h5",
        "8056a5d52c3ed86a934893987d09a06f59a5166aa9bddcaedb050f111d0a7d76",
        62.89,
        _DENSENET,
    ),
    "binarydensenet45": _larq_zoo(
        "binary_densenet-v0.1.0/binary_densenet_45_weights.h5",
        "d00a0d26fbd2dba1bfba8c0306c770f3aeea5c370e99f963bb239bd916f72c37",
        64.59,
        _DENSENET,
    ),
    "resnete18": _larq_zoo(
        "resnet_e-v0.1.0/resnet_e_18_weights.h5",
        "bde4a64d42c164a7b10a28debbe1ad5b287c499bc0247ecb00449e6e89f3bf5b",
        58.32,
        _RESNETE,
    ),
    "bnext_t": _bnext("bnext_t", "1CJ0XOEhoHuNe-tDYJaAOd1j4YyNXuyas", 72.4),
    "bnext_s": _bnext("bnext_s", "1NcVM5Qb1K9Oq_sjEA1lGtp7kVbsfTLsa", 76.1),
    "bnext_m": _bnext("bnext_m", "1xyKnA6SsG4ZpguNQQrB6Yz-J5dzXYfKE", 78.3),
    "bnext_l": _bnext("bnext_l", "1XGKcX2Zl_fIU9wPBDjTTxstOBfwQH8xc", 80.6),
}


def published(name: str) -> Pretrained:
    """What is known of a network's published weights.

    Raises:
        UserError: there are none that are read here.
    """
    if name not in PRETRAINED:
        raise UserError(
            f"No weights are known for {IMAGENET} of {name!r}; these networks have some: "
            f"{', '.join(sorted(PRETRAINED))}."
        )
    return PRETRAINED[name]


def find(name: str) -> Path:
    """The file of a network's published weights: that of the cache, or downloaded into it.

    Raises:
        UserError: there are no such weights, the file cannot be downloaded or is another one, or it is one
            that only a browser can get, and is not there.
    """
    found, home = published(name), cache.folder()
    if home is None:
        raise UserError(f"There is no folder for downloads: give one as {cache.VARIABLE}.")
    path = home / FOLDER / found.file
    what = f"the weights of {name}"
    if found.sha256 is not None:
        return downloads.fetch(what, found.address, found.sha256, path)
    if not path.is_file():
        raise UserError(
            f"{found.publisher} keep {what} on a drive that only a browser or the program gdown can "
            f"download from: get {found.address} and save it as {path}."
        )
    return path

"""A conversion from a trained model on disk to a checked file on disk."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from bnn_keras import deploy, files
from bnn_keras.accounting.cost import estimate
from bnn_keras.deploy.bundle import size
from bnn_keras.deploy.bundle.costs import Costs
from bnn_keras.deploy.bundle.images import Compared
from bnn_keras.deploy.bundle.integers import Int8
from bnn_keras.deploy.bundle.manifest import manifest_of
from bnn_keras.deploy.bundle.size import Size
from bnn_keras.deploy.bundle.source import Source
from bnn_keras.deploy.rewrite import Options
from bnn_keras.errors import UserError
from bnn_keras.settings.input_type import FLOAT32
from bnn_keras.settings.runtime import BUILTIN
from bnn_keras.tflite.flatbuffer import Flatbuffer


@dataclasses.dataclass(frozen=True)
class Made:
    """A converted and checked file, and what is known about it.

    Args:
        name: of the file, which ends in .tflite.
        flatbuffer: its bytes.
        manifest: see `bnn_keras.deploy.bundle.manifest`.
    """

    name: str
    flatbuffer: bytes
    manifest: dict

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both, FILE.tflite and FILE.json.

        Raises:
            UserError: the disk is full. Nothing was written.
        """
        path = folder / self.name
        beside_path = path.with_suffix(".json")
        # Locked: of two conversions to one name, both files are of the last one.
        with files.locked(folder), files.replacing(path) as tflite, files.replacing(beside_path) as beside:
            tflite.write_bytes(self.flatbuffer)
            beside.write_text(json.dumps(self.manifest, indent=2) + "\n", encoding="utf-8")
        return path, beside_path


def write(
    source: Source,
    compared: Compared,
    output: str | None,
    unchecked: Sequence[str] = (),
    options: Options = deploy.OPTIMIZED,
    input_type: str = FLOAT32,
    quantization: Int8 | None = None,
) -> Path:
    """Convert, check, and write the file and its manifest, FILE.tflite and FILE.json.

    Args:
        output: the path of the .tflite file; None takes the source's.
        source, compared, unchecked, options, input_type, quantization: as for `make`.

    Raises:
        UserError: the file was refused, or the disk is full. Nothing was written.
    """
    path = Path(output) if output else source.output
    if path.suffix != ".tflite":
        raise UserError(f"The output is a file that ends in .tflite. Received: {path}.")
    files.check_writable(path)
    made = make(source, compared, path.name, unchecked, options, input_type, quantization)
    path, beside = made.write(path.parent)
    print(f"wrote {path} ({len(made.flatbuffer) / 2**20:.2f} MiB) and {beside}")
    return path


def make(
    source: Source,
    compared: Compared,
    name: str,
    unchecked: Sequence[str] = (),
    options: Options = deploy.OPTIMIZED,
    input_type: str = FLOAT32,
    quantization: Int8 | None = None,
) -> Made:
    """Convert and check, and print how the file compares with the model.

    Args:
        source: of the model.
        compared: the images to compare on.
        name: of the file.
        unchecked: the names of layers that are not compared, see `bnn_keras.convert`.
        options: the runtime, and which rewrites are skipped.
        input_type: of the image that the file takes, "float32" or "uint8".
        quantization: how 32-bit layers become integers; None keeps floats.

    Raises:
        UserError: the file was refused.
    """
    print(f"converting {source.network.path} ({source.model.name})")
    flatbuffer, report = deploy.convert(
        source.model,
        compared.images,
        compared.labels,
        unchecked,
        shows_progress=True,
        options=options,
        estimates_plain=options.runtime != BUILTIN,
        input_type=input_type,
    )
    print("\n".join(deploy.lines(report)))
    quantized = None
    if quantization is not None:
        flatbuffer, quantized = quantization.apply(source, flatbuffer, report, compared, options.runtime)
    if options.runtime == BUILTIN:
        found: Costs | Size = size.measure(source.model, flatbuffer, options)
    else:
        rewritten = estimate(Flatbuffer(flatbuffer))
        found = Costs(rewritten, report.plain or rewritten)
    print(found.sentence)
    manifest = manifest_of(
        source, name, flatbuffer, report, compared.dataset, options, found, input_type, quantized
    )
    return Made(name, flatbuffer, manifest)

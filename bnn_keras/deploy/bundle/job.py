"""A conversion from a trained model on disk to a checked file on disk."""

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
        source: of the model.
        compared: the images to compare on.
        output: the path of the .tflite file; None takes the source's.
        unchecked: the names of layers that are not compared, see `bnn_keras.convert`.
        options: the runtime, and which rewrites are skipped.
        input_type: of the image that the file takes, "float32" or "uint8".
        quantization: how 32-bit layers become integers; None keeps floats.

    Raises:
        UserError: the file was refused, or the disk is full. Nothing was written.
    """
    path = Path(output) if output else source.output
    if path.suffix != ".tflite":
        raise UserError(f"The output is a file that ends in .tflite. Received: {path}.")
    files.check_writable(path)
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
        source, path, flatbuffer, report, compared.dataset, options, found, input_type, quantized
    )
    beside_path = path.with_suffix(".json")
    # Locked: of two conversions to one name, both files are of the last one.
    with files.locked(path.parent), files.replacing(path) as tflite, files.replacing(beside_path) as beside:
        tflite.write_bytes(flatbuffer)
        beside.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path} ({len(flatbuffer) / 2**20:.2f} MiB) and {beside_path}")
    return path

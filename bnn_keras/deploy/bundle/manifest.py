"""The manifest of a file: what it takes and returns, what it is made of, and what was verified."""

import dataclasses
import hashlib
from pathlib import Path

import tensorflow as tf

from bnn_keras import accounting, deploy, runs
from bnn_keras.deploy.bundle.costs import Costs
from bnn_keras.deploy.bundle.size import Size
from bnn_keras.deploy.bundle.source import Source
from bnn_keras.deploy.quantize.result import Quantized
from bnn_keras.deploy.rewrite import Applied


def manifest_of(
    source: Source,
    path: Path,
    flatbuffer: bytes,
    report: deploy.Report,
    dataset: str,
    options: deploy.Options,
    costs: Costs | Size,
    input_type: str,
    quantized: Quantized | None = None,
) -> dict:
    """What is known about a converted file, as its manifest holds it.

    Args:
        source: of the model.
        path: of the file.
        flatbuffer: its bytes.
        report: of its verification.
        dataset: the name of the images that it was verified on.
        options: the runtime, and which rewrites were skipped.
        costs: of the file on a device; of a portable file its size.
        input_type: of the image that the file takes.
        quantized: what integers change in the file; None if it computes with floats.
    """
    model = source.model
    counts = accounting.profile(model)
    return {
        "file": path.name,
        "sha256": hashlib.sha256(flatbuffer).hexdigest(),
        "bytes": len(flatbuffer),
        "model": source.name,
        "source": str(source.network.path),
        "source_sha256": hashlib.sha256(source.network.path.read_bytes()).hexdigest(),
        "input": {
            "name": "image",
            "shape": [1, *model.input_shape[1:]],
            "type": input_type,
            "channels": "RGB",
            "value_range": [0, 255],
            "orientation": source.orientation,
            "dataset": source.network.trained_on.dataset,
            "kind": source.network.trained_on.kind,
            "preprocessing": _preprocessing(source),
        },
        "output": {
            "name": "output",
            "shape": [1, *model.output_shape[1:]],
            "type": "float32",
            "values": values_of(model),
        },
        "class_names": list(source.network.class_names or ()),
        "counts": {
            "params": counts.params,
            "binary_params": counts.binary_params,
            "size_mib": counts.size_mib,
            "bops": counts.bops,
            "flops": counts.flops,
            "ops": counts.ops,
        },
        "hardened": None if report.hardening is None else dataclasses.asdict(report.hardening),
        "verified": {
            "binary_layers": len(report.layers),
            "tensors_compared": len(report.taps),
            "largest_difference_over_tolerance": report.worst.ratio,
            "at": report.worst.name,
            "images": report.images,
            "images_of": dataset,
            "images_of_another_class": [dataclasses.asdict(item) for item in report.exceptions],
            "weight_bytes": report.storage.weights,
            "weight_bytes_of_layers": report.storage.layers,
            "unchecked_layers": report.unchecked,
            "metadata_bytes": report.storage.metadata,
            **({"sums_of_signs": dataclasses.asdict(report.sums)} if report.sums else {}),
        },
        "rewrites": {
            "runtime": options.runtime,
            "skipped": list(options.skip),
            "applied": [_applied(item) for item in report.rewrites],
        },
        "estimated_arm64_instructions" if isinstance(costs, Costs) else "portable": costs.for_manifest(),
        **({} if quantized is None else {"quantization": quantized.to_dict()}),
        "environment": runs.environment(),
    }


def _preprocessing(source: Source) -> dict | None:
    """How an image becomes the input; None if the model does not take square images in RGB."""
    height, width, channels = source.model.input_shape[1:]
    return dataclasses.asdict(source.network.preprocessing) if height == width and channels == 3 else None


def _applied(item: Applied) -> dict:
    """What a rewrite did; the sentence says why it applies nowhere."""
    kept = {key: value for key, value in dataclasses.asdict(item).items() if key != "needs"}
    return {**kept, "sentence": item.sentence}


def values_of(model: tf.keras.Model) -> str:
    """What the numbers are that a model returns, such as "logits" or "softmax"."""
    last = model.layers[-1]
    name = tf.keras.activations.serialize(last.activation) if hasattr(last, "activation") else "linear"
    if len(model.output_shape) != 2:
        return "features"
    return "logits" if name == "linear" else str(name)

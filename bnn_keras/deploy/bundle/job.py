"""A conversion from a trained model on disk to a checked file on disk."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_sample_images

from bnn_keras import accounting, data, deploy, files, runs
from bnn_keras.accounting import cost
from bnn_keras.deploy.conversion import orientation as orientations
from bnn_keras.deploy.conversion.hardening import harden
from bnn_keras.deploy.portable.size import Size
from bnn_keras.deploy.rewrite import Options
from bnn_keras.errors import UserError
from bnn_keras.runs.trained import TrainedNetwork
from bnn_keras.settings.augmentation import Augmentation
from bnn_keras.settings.input_type import FLOAT32
from bnn_keras.settings.orientation import UPRIGHT, UPSIDE_DOWN
from bnn_keras.settings.preprocessing import Preprocessing
from bnn_keras.settings.runtime import BUILTIN, LCE
from bnn_keras.tflite.flatbuffer import Flatbuffer

SAMPLES = "samples"  # scikit-learn's two photographs, cut into pieces: for models without a data set
SAMPLE_IMAGES = 16


@dataclasses.dataclass(frozen=True)
class Source:
    """A model to convert.

    Args:
        model: the model itself.
        path: the file that its weights come from.
        config: of its run folder; empty for a file that is in none.
        class_names: empty if they are not known.
        output: the path of the .tflite file, unless another one is asked for.
        orientation: of the images that the model takes.
    """

    model: tf.keras.Model
    path: Path
    config: dict
    class_names: list[str]
    output: Path
    orientation: str = UPRIGHT

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How an image becomes the input; None if the model does not take square images in RGB."""
        height, width, channels = self.model.input_shape[1:]
        if height != width or channels != 3:
            return None
        evaluated = Augmentation.for_evaluation(self.config.get("recipe", {}))
        return Preprocessing.of(evaluated, self.config.get("kind") or "photographs", height)

    def turned(self) -> "Source":
        """The source for a file that takes its images upside down.

        Raises:
            UserError: the model takes upright images only.
        """
        model = orientations.upside_down(self.model)
        return dataclasses.replace(self, model=model, orientation=UPSIDE_DOWN)


@dataclasses.dataclass(frozen=True)
class Compared:
    """The images on which a file and its model are compared.

    Args:
        images: float32 [n, height, width, 3].
        labels: [n], their classes; None if they are not known.
        dataset: the name of their data set.
    """

    images: np.ndarray
    labels: np.ndarray | None
    dataset: str

    def turned(self) -> "Compared":
        """The same images upside down."""
        return dataclasses.replace(self, images=self.images[:, ::-1, ::-1])


def source_of(network: TrainedNetwork) -> Source:
    """The source for a trained network. Its file goes beside the weights, unless told otherwise.

    Raises:
        UserError: it is a .tflite file already.
    """
    model, path = network.keras_model, network.path
    if network.config is None:
        return Source(model, path, {}, [], path.with_suffix(".tflite"))
    output = path.with_name(f"{model.name}.tflite")
    return Source(model, path, network.config.to_dict(), list(network.class_names or ()), output)


def images(source: Source, dataset: str | None, data_dir: str | None, limit: int) -> Compared:
    """Real images to compare on, and where they are from.

    Args:
        source: of the model.
        dataset, data_dir: as for training; None takes the run's own.
        limit: the largest number of images.

    Raises:
        UserError: the data set is absent, or its images do not fit the model.
    """
    height, width = source.model.input_shape[1:3]
    dataset = dataset or source.config.get("dataset", SAMPLES)
    if dataset == SAMPLES:
        return Compared(samples(height, width), None, "scikit-learn's sample photographs")
    if height != width:
        raise UserError(
            f"{dataset} has square images; the model takes {height} x {width}: use --dataset={SAMPLES}."
        )
    own = data.same(dataset, source.config.get("dataset"))
    part = "all" if dataset.startswith(data.FOLDER) and not own else None
    data_dir = data_dir or source.config.get("data_dir")
    evaluated = Augmentation.for_evaluation(source.config.get("recipe", {}))
    found = data.open(dataset, data_dir, height, augmentation=evaluated, part=part)
    if "kind" in source.config:
        found = dataclasses.replace(found, preprocessing=source.preprocessing)
    with found.decoding():
        batches = [(images.numpy(), labels.numpy()) for images, labels in found.test(32, limit=limit)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Compared(images, _numbered(labels, found.class_names, source), dataset)


def _numbered(labels: np.ndarray, class_names: tuple[str, ...], source: Source) -> np.ndarray | None:
    """The labels as the model's outputs, by the names of the classes if they are known; or None."""
    names = source.class_names
    if not names:
        return labels if len(class_names) == source.model.output_shape[-1] else None
    if not set(class_names) <= set(names):
        return None
    return np.array([names.index(name) for name in class_names])[labels]


def samples(height: int, width: int, number: int = SAMPLE_IMAGES) -> np.ndarray:
    """Pieces of scikit-learn's two photographs, at random places, half of them scaled down."""
    rng = np.random.default_rng(0)
    photographs = load_sample_images().images
    pieces = []
    for i in range(number):
        photograph = photographs[i % 2]
        edge = min(photograph.shape[:2]) if i % 4 > 1 else min(height, width, *photograph.shape[:2])
        top, left = (rng.integers(0, n - edge + 1) for n in photograph.shape[:2])
        piece = photograph[top : top + edge, left : left + edge]
        pieces.append(tf.image.resize(piece, (height, width)).numpy())
    return np.stack(pieces).astype(np.float32)


def write(
    source: Source,
    compared: Compared,
    output: str | None,
    unchecked: Sequence[str] = (),
    options: Options = deploy.DEFAULT,
    input_type: str = FLOAT32,
) -> Path:
    """Convert, check, and write the file and its manifest, FILE.tflite and FILE.json.

    Args:
        source: of the model.
        compared: the images to compare on.
        output: the path of the .tflite file; None takes the source's.
        unchecked: the names of layers that are not compared, see `bnn_keras.convert`.
        options: the runtime, and which rewrites are skipped.
        input_type: of the image that the file takes, "float32" or "uint8".

    Raises:
        UserError: the file was refused, or the disk is full. Nothing was written.
    """
    path = Path(output) if output else source.output
    if path.suffix != ".tflite":
        raise UserError(f"The output is a file that ends in .tflite. Received: {path}.")
    files.check_writable(path)
    print(f"converting {source.path} ({source.model.name})")
    flatbuffer, report = deploy.convert(
        source.model,
        compared.images,
        compared.labels,
        unchecked,
        shows_progress=True,
        options=options,
        input_type=input_type,
    )
    print("\n".join(deploy.lines(report)))
    instructions, size = cost.estimate(Flatbuffer(flatbuffer)).total.instructions, None
    if options.runtime == BUILTIN:
        size = Size(len(flatbuffer), _size_for_lce(source, options))
        print(size.sentence)
    else:
        print(
            f"cost: about {instructions['tflite'] / 1e6:.1f} million ARM64 instructions an image with "
            f"TFLite's kernels, {instructions['xnnpack'] / 1e6:.1f} with XNNPACK (an estimate, not of time: "
            f"see bnn cost)"
        )
    found = _manifest(source, path, flatbuffer, report, compared.dataset)
    found["input"]["type"] = input_type
    form = {"runtime": options.runtime, "skipped": list(options.skip)}
    found["rewrites"] = {**form, "applied": [dataclasses.asdict(item) for item in report.rewrites]}
    if size is None:
        columns = ("tflite", "xnnpack")
        found["estimated_arm64_instructions"] = {key: round(instructions[key]) for key in columns}
    else:
        found["portable"] = {"custom_operations": 0, "bytes_of_the_file_for_lce": size.lce}
        found["verified"]["sums_of_signs"] = report.sums and dataclasses.asdict(report.sums)
    manifest = json.dumps(found, indent=2) + "\n"
    beside_path = path.with_suffix(".json")
    # Locked: of two conversions to one name, both files are of the last one.
    with files.locked(path.parent), files.replacing(path) as tflite, files.replacing(beside_path) as beside:
        tflite.write_bytes(flatbuffer)
        beside.write_text(manifest, encoding="utf-8")
    print(f"wrote {path} ({len(flatbuffer) / 2**20:.2f} MiB) and {beside_path}")
    return path


def _size_for_lce(source: Source, options: Options) -> int | None:
    """The bytes of the same network's file for LCE; None if LCE cannot convert it."""
    try:
        return len(deploy.to_flatbuffer(harden(source.model), options=Options(LCE, options.skip)))
    except UserError:
        return None


def _manifest(source: Source, path: Path, flatbuffer: bytes, report: deploy.Report, dataset: str) -> dict:
    model, config, preprocessing = source.model, source.config, source.preprocessing
    counts = accounting.profile(model)
    return {
        "file": path.name,
        "sha256": hashlib.sha256(flatbuffer).hexdigest(),
        "bytes": len(flatbuffer),
        "model": config.get("model", model.name),
        "source": str(source.path),
        "source_sha256": hashlib.sha256(source.path.read_bytes()).hexdigest(),
        "input": {
            "name": "image",
            "shape": [1, *model.input_shape[1:]],
            "type": "float32",
            "channels": "RGB",
            "value_range": [0, 255],
            "orientation": source.orientation,
            "dataset": config.get("dataset"),
            "kind": config.get("kind"),
            "preprocessing": preprocessing and dataclasses.asdict(preprocessing),
        },
        "output": {
            "name": "output",
            "shape": [1, *model.output_shape[1:]],
            "type": "float32",
            "values": values_of(model),
        },
        "class_names": source.class_names,
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
        },
        "environment": runs.environment(),
    }


def values_of(model: tf.keras.Model) -> str:
    """What the numbers are that a model returns, such as "logits" or "softmax"."""
    last = model.layers[-1]
    name = tf.keras.activations.serialize(last.activation) if hasattr(last, "activation") else "linear"
    if len(model.output_shape) != 2:
        return "features"
    return "logits" if name == "linear" else str(name)

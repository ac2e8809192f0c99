"""Prepare an image as a network takes it, as an app on a phone does: with Pillow and NumPy alone.

python phone_input.py meliusnet22.json photo.jpg --output=photo.npy

The .json is the manifest beside the .tflite file. The array has the shape and type of the file's input.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def prepare(path: Path, manifest: dict) -> np.ndarray:
    """Read an image file as the manifest says: float32 or uint8, [1, size, size, 3]."""
    said = manifest["input"]
    steps = said["preprocessing"]
    with Image.open(path) as file:
        image = np.asarray(to_rgb(ImageOps.exif_transpose(file)), np.float32)
    edges = np.array(image.shape[:2])
    resized = edges * steps["shorter_side"] // edges.min()
    size = steps["crop_size"]
    corner = (resized - size) // 2
    for axis in (0, 1):
        weights = resizing(edges[axis], resized[axis], steps["interpolation"], steps["antialias"])
        # Only what is cut out is computed.
        image = np.tensordot(weights[corner[axis] : corner[axis] + size], image, axes=(1, axis))
        image = np.moveaxis(image, 0, axis)
    image = image.clip(0, 255)
    if said["type"] == "uint8":
        image = image.round()
    return (image[::-1, ::-1] if said["orientation"] == "upside_down" else image)[None].astype(said["type"])


def to_rgb(image: Image.Image) -> Image.Image:
    """Repeat grey, drop alpha, and take the upper eight of 16 bits."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def resizing(before: int, after: int, interpolation: str, antialias: bool) -> np.ndarray:
    """The weights of the pixels along one side of an image in those of the resized one, [after, before]."""
    scale = np.float32(before / after)
    width = max(scale, 1) if antialias else 1
    centres = (np.arange(after, dtype=np.float32) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(before) - centres[:, None]) / width
    weights = {"bilinear": triangle, "bicubic": keys}[interpolation](distances)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def triangle(x: np.ndarray) -> np.ndarray:
    """The kernel of the bilinear interpolation."""
    return (1 - x).clip(0)


def keys(x: np.ndarray) -> np.ndarray:
    """The kernel of the bicubic interpolation (Keys, 1981, with a = -0.5)."""
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def main() -> None:
    """Write the array."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("manifest", type=Path, help="the .json beside the .tflite file")
    parser.add_argument("image", type=Path)
    parser.add_argument("--output", type=Path, default=Path("input.npy"))
    arguments = parser.parse_args()
    manifest = json.loads(arguments.manifest.read_text(encoding="utf-8"))
    array = prepare(arguments.image, manifest)
    np.save(arguments.output, array)
    print(f"wrote {arguments.output}: {array.dtype}, {list(array.shape)}")


if __name__ == "__main__":
    main()

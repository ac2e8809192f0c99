"""Run every command that the documents print, in reduced size.

    python tests/docs_commands.py --data_dir=DIR

The commands are read from the documents (tests/test_docs.py reads the same code). `REDUCTIONS` makes them
small, `SKIPPED` says why some are not run. Each is one line of the output: what was run, and how it ended.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = re.compile(r"^(?:\S*python3? (?:-m bnn_keras|\S*train\.py|\S*convert\.py)|bnn)(?: |$)")
SMALL = ["--epochs=1", "--train_examples=64", "--batch_size=16"]
# The words with which a command of ours begins, and the verbs that they stand for.
DOORS: dict[str, list[str]] = {"bnn": [], "bnn_keras": [], "train.py": ["train"], "convert.py": ["convert"]}
# By verb: the flags that make its commands small.
REDUCTIONS = {"train": SMALL, "convert": ["--images=2"], "preview": []}
# A part of a command, and why such commands are not run here.
SKIPPED = {
    ".pth": "needs a checkpoint of other authors",
    ".h5": "needs a checkpoint of other authors",
    "mine.toml": "needs a recipe of the reader's own",
    "folder:PATH": "needs the reader's own photographs",
    "folder:": "needs the reader's own photographs",
    "launch": "needs several processes or machines; tests/training/test_workers.py runs them",
    "data_service": "needs several machines",
    "pytest": "is the test suite itself",
    "pip install": "is the set-up",
    "imagenet2012": "needs ImageNet",
    "benchmark": "measures for minutes; tests/cli/test_benchmark.py runs it",
    "tables": "builds every network at full size; a large test runs it",
    "--seeds": "is several runs; tests/training/test_seeds.py has them",
    "VERB": "is a pattern",
    "NAME": "is a pattern",
    "FILE": "is a pattern",
    "HOST": "is a pattern",
    "MODEL": "is a pattern",
    "…": "is a pattern",
    "front door": "is a sentence",
    "data-service": "serves until it is stopped; tests/data/test_service.py runs it",
    "$recipe": "is a loop of the shell",
    "report flips": "draws the runs of that loop",
}


def commands(text: str) -> list[str]:
    """The commands of ours in the indented or fenced code of a document, without comments."""
    text = text.replace("\\\n", " ")
    blocks = re.findall(r"^(?: {4,}|\t)(.*)$", text, re.MULTILINE)
    blocks += [
        line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) for line in block.split("\n")
    ]
    lines = [re.split(r"\s+#", block)[0].strip() for block in blocks]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return list(dict.fromkeys(part for part in parts if OURS.search(part.split(" -- ")[0])))


def variables(text: str) -> dict[str, str]:
    """The variables of the shell that a document sets, with those in their values filled in."""
    found: dict[str, str] = {}
    for name, value in re.findall(r'^ *(\w+)="([^"]*)"', text.replace("\\\n", " "), re.MULTILINE):
        found[name] = _filled(value, found)
    return found


def _filled(text: str, known: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: known.get(match[1], match[0]), text)


def reduced(command: str, known: dict[str, str], data_dir: str) -> tuple[list[str], str]:
    """The words of a command as it is run here, and why it is not run; one of both is empty."""
    command = _filled(command, known)
    if reason := next((why for part, why in SKIPPED.items() if part in command), ""):
        return [], reason
    words = shlex.split(command.replace("=DIR", f"={data_dir}"))
    place = next(i for i, word in enumerate(words) if Path(word).name in DOORS)
    door, rest = Path(words[place]).name, words[place + 1 :]
    verb, *flags = [*DOORS[door], *rest]
    small = [] if any(flag.startswith("--list") for flag in flags) else REDUCTIONS.get(verb, [])
    replaced = {word.split("=")[0] for word in small}
    kept = [flag for flag in flags if flag.split("=")[0] not in replaced]
    return [sys.executable, "-m", "bnn_keras", verb, *kept, *small], ""


def main() -> int:
    """Run all commands; the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", default="../shared/tfds", help="the folder of TensorFlow Datasets")
    parser.add_argument("--list", action="store_true", help="print the commands, and run none")
    values = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        load_sample_images_as(Path(folder) / "image.jpg")
        for page in PAGES:
            text = page.read_text("utf-8")
            for command in commands(text):
                words, reason = reduced(command, variables(text), str(Path(values.data_dir).resolve()))
                if reason or values.list:
                    what = f": {reason}" if reason else f"\n    {shlex.join(words[3:])}"
                    print(f"{'skipped' if reason else 'listed'}  {page.name}: {command}{what}", flush=True)
                else:
                    failed += not ends_well(page, command, words, folder)
    return min(failed, 1)


def ends_well(page: Path, command: str, words: list[str], folder: str) -> bool:
    """Run a command in a folder, and print how it ended."""
    begun, environment = time.monotonic(), {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    state = "FAILED" if done.returncode else "ok"
    print(f"{state}  {page.name}: {command} ({time.monotonic() - begun:.0f} s)", flush=True)
    if done.returncode:
        print(f"    {done.stderr.strip()[-300:]}", flush=True)
    return done.returncode == 0


def load_sample_images_as(path: Path) -> None:
    """Write one of scikit-learn's photographs."""
    Image.fromarray(load_sample_image("flower.jpg")).save(path)


if __name__ == "__main__":
    sys.exit(main())

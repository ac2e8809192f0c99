"""Run every command that the documents print, in reduced size.

    python tests/docs_commands.py --data_dir=DIR

DIR holds cifar10 and imagenet2012 as TensorFlow Datasets keeps them; a few examples suffice. `STAND_INS` says
what stands for a name that the reader fills in, `reduced` makes a command small, and `SKIPPED` says why some
are not run. The output has a line for each command: how it ended, and how long it took.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = re.compile(r"^(?:\S*python3? (?:-m bnn_keras|\S*train\.py|\S*convert\.py)|bnn)(?: |$)")
# The words with which a command of ours begins, and the verbs that they stand for.
DOORS: dict[str, list[str]] = {"bnn": [], "bnn_keras": [], "train.py": ["train"], "convert.py": ["convert"]}
# A pattern in the commands, and what stands for it here. The first command of the README trains TRAINED.
TRAINED = "runs/meliusnet29-digits"
STAND_INS = {
    r"--model=NAME --set=\S+ --set=\S+": "--model=meliusneta",
    r" --output_dir=RUN\b": "",
    r"--genotype=RUN\b": "--genotype=runs/bnas_search-cifar10",
    r"page RUN RUN": f"page {TRAINED} runs/meliusnet22-cifar10",
    r"\bRUN\b": "runs/meliusnet22-cifar10",
    r"\bOTHER\b": "runs/meliusnet22-cifar10/model.keras",
    r"folder:PATH --image_size=224": "folder:photos --image_size=32",
    r"imagenet2012": "imagenet2012 --image_size=32",
    r"--dataset=folder:PATH": "--dataset=folder:pictures",
    r"docs/optimizers_flips.png": "flips.png",
    r"summary NAME": "summary meliusneta",
    r"--recipe=NAME": "--recipe=meliusnet_sgd",
    r"FILE.toml": "mine.toml",
    r"\b(FILE|before|after).tflite": f"{TRAINED}/meliusnet29.tflite",
    r" …": "",
}
# Settings of a network with few and narrow layers, by the beginning of its name.
NARROW = {
    "meliusnet": ["--set=blocks=1,1,1,1", "--set=channels=32,32,32"],
    "resnet": ["--set=blocks=1,1,1,1", "--set=channels=16,16,32,32"],
    "bnext": ["--set=widths=16,16,32,32"],
    "bnas": ["--set=cells=3", "--set=channels=4"],
}
# By verb: the flags that make its commands small.
SMALL = {
    "train": ["--epochs=1", "--train_examples=64", "--batch_size=16"],
    "search": ["--epochs=1", "--train_examples=64", "--batch_size=16", "--cells=3", "--channels=1"],
    "convert": ["--images=2"],
    "demo": ["--images=2"],
    "evaluate": ["--limit=40"],
    "quantize": ["--epochs=1", "--seeds=1", "--train_examples=64", "--batch_size=16", "--limit=40"],
}
# A part of a command, and why such commands are not run here.
SKIPPED = {
    ".pth": "needs a checkpoint of other authors",
    "--weights=imagenet": "downloads; tests/cli/test_pretrained.py runs it",
    "benchmark": "measures for minutes; tests/cli/test_benchmark.py runs it",
    "tables": "builds every network at full size; tests/papers runs it",
    "data-service": "serves until it is stopped; tests/data/test_service.py runs it",
    "data_service": "needs a service; tests/data/test_service.py runs it",
    "--serve": "serves a page until it is stopped; tests/cli/test_demo.py runs it",
    "--litert_js": "needs packages of the npm registry; tests/cli/test_demo.py runs it",
    "VERB": "is a pattern",
    "MODEL": "is a pattern",
}


def commands(text: str) -> list[str]:
    """The commands of ours in a document: in code, and in backticks if they have more words than a name."""
    text = _unrolled(text.replace("\\\n", " "))
    blocks = re.findall(r"^(?: {4,}|\t)(.*)$", text, re.MULTILINE)
    blocks += [
        line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) for line in block.split("\n")
    ]
    blocks += [code for code in re.findall(r"`([^`\n]+)`", text) if len(code.split()) > 2]
    known: dict[str, str] = {}
    for name, value in re.findall(r'^ *(\w+)="([^"]*)"', text, re.MULTILINE):
        known[name] = _filled(value, known)
    lines = [_filled(re.split(r"\s+#", block)[0].strip(), known) for block in blocks]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    found = [" ".join(part.split()) for part in parts if OURS.search(part.split(" -- ")[0])]
    return list(dict.fromkeys(part for part in found if " " in part))


def _unrolled(text: str) -> str:
    """A document without loops of the shell: each is written as often as it runs."""

    def repeated(loop: re.Match) -> str:
        name, values, body = loop.groups()
        return "".join(_filled(body, {name: value}) for value in values.split())

    return re.sub(r"^ *for (\w+) in ([^;\n]+); do\n(.*?)^ *done\n", repeated, text, flags=re.M | re.S)


def _filled(text: str, known: dict[str, str]) -> str:
    """Fill in $NAME and ${NAME#PREFIX}."""

    def value(found: re.Match) -> str:
        name, prefix = found[1] or found[2], found[3] or ""
        return known[name].removeprefix(prefix) if name in known else found[0]

    return re.sub(r"\$(?:(\w+)|\{(\w+)#(\w+)\})", value, text)


def reduced(command: str, data_dir: str) -> tuple[list[str], str]:
    """A command as it is run here, as `bnn` takes it, and why it is not run; one of both is empty."""
    if reason := next((why for part, why in SKIPPED.items() if part in command), ""):
        return [], reason
    for pattern, stand_in in STAND_INS.items():
        command = re.sub(pattern, stand_in, command)
    before, launches, command = command.rpartition(" -- ")
    words = shlex.split(command.replace("=DIR", f"={data_dir}"))
    place = next(i for i, word in enumerate(words) if Path(word).name in DOORS)
    verb, *rest = [*DOORS[Path(words[place]).name], *words[place + 1 :]]
    smaller = [verb, *_smaller(verb, rest, before)]
    if not launches:
        return smaller, ""
    launch = shlex.split(before)
    return [*launch[launch.index("launch") :], "--", "train.py", *smaller[1:]], ""


def _smaller(verb: str, words: list[str], before: str) -> list[str]:
    """The words after a verb, with little to do; `before` is what stands before the command."""
    flags = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
    if any(flag.startswith("--list") for flag in flags):
        return words
    changes = list(SMALL.get(verb, []))
    if "--resume" in flags:  # where nothing but the epochs may change
        changes = ["--epochs=2"] if "--epochs" in flags else []
    elif verb == "train":
        model = flags.get("--model", "meliusnet29")
        changes += next(settings for name, settings in NARROW.items() if model.startswith(name))
        changes += ["--seeds=2"] if "--seeds" in flags else []
        if not {"--model", "--output_dir"} & flags.keys():  # a run folder of its own
            changes.append("--output_dir=runs/" + re.sub(r"\W+", "-", " ".join([before, *words])).strip("-"))
    changed = {word.split("=")[0] for word in changes} - {"--set"}
    return [*(word for word in words if word.split("=")[0] not in changed), *changes]


def runs(data_dir: str) -> Iterator[tuple[Path, str, list[str], str]]:
    """Each page and command, with what `reduced` makes of it."""
    for page in PAGES:
        for command in commands(page.read_text("utf-8")):
            yield page, command, *reduced(command, data_dir)


def main() -> int:
    """Run all commands; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", default="../shared/tfds", help="the folder of TensorFlow Datasets")
    parser.add_argument("--list", action="store_true", help="print the commands, and run none")
    values = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        for page, command, words, reason in runs(str(Path(values.data_dir).resolve())):
            if reason:
                print(f"skipped  {page.name}: {command}: {reason}", flush=True)
            elif values.list:
                print(f"{page.name}: {command}\n    bnn {shlex.join(words)}", flush=True)
            else:
                failed += not ends_well(page, command, words, folder)
    return min(failed, 1)


def ends_well(page: Path, command: str, words: list[str], folder: str) -> bool:
    """Run a command in a folder, and print how it ended."""
    begun, environment = time.monotonic(), {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", "bnn_keras", *words]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    state = "FAILED" if done.returncode else "ok"
    print(f"{state}  {page.name}: {command} ({time.monotonic() - begun:.0f} s)", flush=True)
    if done.returncode:
        print(f"    bnn {shlex.join(words)}\n    {done.stderr.strip()[-300:]}", flush=True)
    return done.returncode == 0


def write_files(folder: Path) -> None:
    """Write what the commands name: photographs, a recipe, cells, and the two front doors."""
    flower = Image.fromarray(load_sample_image("flower.jpg"))
    flower.save(folder / "image.jpg")
    for name in ("photos/flower", "photos/leaf", "pictures/automobile", "pictures/cat"):
        (folder / name).mkdir(parents=True)
        for i in range(4):
            flower.crop((90 * i, 60 * i, 90 * i + 200, 60 * i + 160)).save(folder / name / f"{i}.jpg")
    (folder / "mine.toml").write_text('extends = "meliusnet"\nepochs = 1\n')
    edges = ["conv3 0"] * 8
    (folder / "cells.json").write_text(json.dumps({"normal": edges, "reduction": edges}))
    for door in ("train.py", "convert.py"):
        shutil.copy(ROOT / door, folder)


if __name__ == "__main__":
    sys.exit(main())

"""Of every command that the documents print, tests/docs_commands.py knows how to run it, or why not."""

import importlib
import re

import pytest

from bnn_keras.cli import VERBS, flags, launch, train
from tests import docs_commands
from tests.docs_commands import SKIPPED, commands, reduced

FOUND = list(docs_commands.runs("sets"))
LOOP = """
    for recipe in big_a big_b; do
      python train.py --recipe=$recipe \\
        --output_dir=runs/${recipe#big_}
    done
"""


def test_commands_are_those_of_a_shell():
    assert commands(LOOP) == [f"python train.py --recipe=big_{x} --output_dir=runs/{x}" for x in "ab"]
    text = '    all="--epochs=2\n      --seed=1"\n    few="$all --seeds=3"\n    bnn train $few  # three\n'
    assert commands(text) == ["bnn train --epochs=2 --seed=1 --seeds=3"]
    text = "`bnn convert`, `bnn train --seeds=5`, `front door`\n\n    x && .venv/bin/python convert.py\n"
    assert commands(text) == [".venv/bin/python convert.py", "bnn train --seeds=5"]


def test_a_reduced_command_keeps_what_it_is_about():
    command = "bnn train --model=bnext18 --dataset=imagenet2012 --data_dir=DIR --epochs=90 --mixup=0.2"
    assert " ".join(reduced(command, "sets")[0]) == (
        "train --model=bnext18 --dataset=imagenet2012 --image_size=32 --data_dir=sets --mixup=0.2 --epochs=1 "
        "--train_examples=64 --batch_size=16 --set=widths=16,16,32,32"
    )
    assert reduced("bnn train --resume=RUN --epochs=120", "sets")[0][1:] == [
        "--resume=runs/meliusnet22-cifar10",
        "--epochs=2",
    ]


def test_every_reason_to_skip_a_command_has_one():
    assert {reason for *_, reason in FOUND if reason} == set(SKIPPED.values())
    for part in SKIPPED:
        assert any(part in command for _, command, _, _ in FOUND), part
    assert 2 * sum(bool(reason) for *_, reason in FOUND) < len(FOUND)


@pytest.mark.parametrize(
    ("page", "command", "words"),
    [(page.name, command, words) for page, command, words, reason in FOUND if not reason],
    ids=str,
)
def test_a_command_is_run_with_flags_that_are_valid(page, command, words):
    assert not re.search(r"\b(RUN|PATH|OTHER|DIR|NAME|FILE|HOST|[A-Z])\b|…", " ".join(words)), command
    verb, *rest = words
    assert verb in VERBS
    if verb == "launch":
        place = rest.index("--")
        flags.parse(launch.FLAGS, rest[:place])
        assert rest[place + 1] == "train.py"
        flags.parse(train.FLAGS, rest[place + 2 :])
    else:
        flags.parse(importlib.import_module(f"bnn_keras.cli.{verb}").FLAGS, rest)

"""README, CONTRIBUTING and docs/: every link leads somewhere, and every command and flag exists."""

import ast
import functools
import operator
import re
import subprocess
import sys

import pytest

import bnn_keras
import zoo
from bnn_keras.cli import VERBS
from tests.architecture import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DOORS = {"train.py": "train", "convert.py": "convert"}


@functools.cache
def flags_of(*words):
    """The flags that `bnn WORDS --help` prints."""
    command = [sys.executable, "-m", "bnn_keras", *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, (words, done.stderr)
    found = re.findall(r"^  --(\[no\])?(\w+)", done.stdout, re.MULTILINE)
    return {"help"} | {name for _, name in found} | {f"no{name}" for no, name in found if no}


def code_in(text):
    """The pieces of code in a Markdown text: indented lines, without comments, and text in backticks."""
    text = text.replace("\\\n", " ")
    blocks = re.findall(r"^(?: {4,}|\t)(.*)$", text, re.MULTILINE)
    return [block.split(" # ")[0] for block in blocks] + re.findall(r"`([^`\n]+)`", text)


def commands_in(code):
    """The commands of ours in a piece of code, each as its words and the flags that follow."""
    words = [word.strip("[]'\";&()") for word in code.split()]
    found, flags = [], []
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        verb = (
            after
            if word == "bnn" or (before, word) == ("-m", "bnn_keras")
            else DOORS.get(word.split("/")[-1])
        )
        if verb and verb.islower():
            flags = []
            found.append(([verb], flags))
        elif before == "benchmark" and word.isidentifier():
            found[-1][0].append(word)
        elif word.startswith("--") and len(word) > 2:
            flags.append(word[2:].split("=")[0])
    return found


def test_commands_are_read_from_code():
    text = "`bnn benchmark data --repeats=3`:\n\n    x && .venv/bin/python train.py --a=1 \\\n    --nob # c\n"
    assert [commands_in(code) for code in code_in(text)] == [
        [(["train"], ["a", "nob"])],
        [(["benchmark", "data"], ["repeats"])],
    ]
    launched = "python -m bnn_keras launch --workers 2 -- train.py --strict"
    assert commands_in(launched) == [(["launch"], ["workers"]), (["train"], ["strict"])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_its_flags_exist(page):
    for code in code_in(page.read_text("utf-8")):
        for words, flags in commands_in(code):
            assert set(flags) <= flags_of(*words), code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_flag_in_a_sentence_is_one_of_some_command(page):
    known = set().union(*(flags_of(verb) for verb in VERBS if verb != "benchmark"))
    for code in code_in(page.read_text("utf-8")):
        if code.startswith("--"):
            assert code[2:].split("=")[0] in known, code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_ci_finds_the_test_command():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    first = next(line for line in lines if line.endswith("pytest"))
    assert first.strip().startswith("python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && ")


def test_sizes_and_operations_in_the_readme_are_those_of_the_tables():
    """docs/tables.md is generated from the models; tests/zoo/test_bnas.py compares docs/bnas.md with them."""
    ours = {}
    for line in (ROOT / "docs" / "tables.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) >= 6 and cells[0]:
            built = cells[2].removesuffix(" stem=grouped")
        if len(cells) >= 6 and cells[3] in ("size, MiB", "OPs, 10⁸") and cells[4]:
            ours[built, cells[3]] = max(cells[4], ours.get((built, cells[3]), ""), key=len)
    page = (ROOT / "docs" / "bnas.md").read_text("utf-8")
    for name, size, operations in re.findall(r"^\| (bnas_\w+) .* \| ([\d.]+) \| ([\d.]+)e8 \|$", page, re.M):
        ours[name, "size, MiB"], ours[name, "OPs, 10⁸"] = size, operations
    rows = re.findall(
        r"^\| (\w+) \| [\d.]+ \| ([\d.]+) \| ([\d.]+)e8 \|.*\|$",
        (ROOT / "README.md").read_text("utf-8"),
        re.M,
    )
    assert len(rows) == 17
    for name, size, operations in rows:
        assert float(size) == pytest.approx(float(ours[name, "size, MiB"]), abs=0.0051), name
        assert float(operations) == pytest.approx(float(ours[name, "OPs, 10⁸"]), abs=0.0051), name


def test_the_python_example_uses_names_that_exist():
    example = (ROOT / "README.md").read_text("utf-8").split("## Python")[1].split("##")[0]
    code = "\n".join(re.findall(r"^ {4}(.*)$", example, re.MULTILINE))
    modules = {"bnn_keras": bnn_keras, "zoo": zoo}
    used = [ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)]
    ours = [name for name in used if name.split(".")[0] in modules and "(" not in name]
    assert len(ours) >= 7
    for name in ours:
        operator.attrgetter(name.partition(".")[2])(modules[name.split(".")[0]])

"""Count the rooms of the project and the arrows between them.

python tests/architecture.py [PATH]      PATH is a checkout; this one if not given

A room is a module or a package directly in bnn_keras, the zoo, or a front door. An arrow from one
room to another means that some module of the first imports some module of the second, at its top or inside
a function. The order of the rooms has one home: the picture in docs/architecture.md.
"""

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY, ZOO, DOORS = "bnn_keras", "zoo", ("train", "convert")


@functools.cache
def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    # What lies in a folder "static" is copied to where it runs, and imported by nobody.
    files = [*(root / LIBRARY).rglob("*.py"), *(root / ZOO).rglob("*.py"), *(root / f"{d}.py" for d in DOORS)]
    return {_dotted(file.relative_to(root)): file for file in files if "static" not in file.parts}


def _dotted(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The room that a module lies in; the public names in bnn_keras/__init__.py are in `bnn_keras`."""
    top, _, rest = module.partition(".")
    return rest.split(".")[0] if top == LIBRARY and rest else top


def imports(file: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules of the project that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for name in _names(node):
            # `import bnn_keras` alone only sets Keras 2.
            if name in known or name.rpartition(".")[0] in known:
                yield name if name in known else name.rpartition(".")[0]


def _names(node: ast.AST) -> list[str]:
    """What a statement imports: of `from a import b` both could be the module, so a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name != LIBRARY]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@functools.cache
def arrows(root: Path = ROOT) -> dict[str, set[str]]:
    """For every room the other rooms that it imports."""
    known = modules(root)
    found: dict[str, set[str]] = {room_of(name): set() for name in known if name != LIBRARY}
    for name, file in known.items():
        if name != LIBRARY:  # it hands on the public names, and imports them when they are asked for
            found[room_of(name)] |= {room_of(other) for other in imports(file, known)} - {room_of(name)}
    return found


def order(root: Path = ROOT) -> list[str]:
    """The rooms from the top to the bottom, as docs/architecture.md draws them."""
    text = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = text.split("```")[1].strip()
    return [line.split()[0].removesuffix(".py") for line in picture.splitlines()]


def main(root: Path = ROOT) -> None:
    """Print the number of rooms and arrows, and the arrows of each room."""
    found = arrows(root)
    print(f"{len(found)} rooms, {sum(map(len, found.values()))} arrows")
    for room in sorted(found):
        print(f"{room} -> {', '.join(sorted(found[room])) or '(nothing)'}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""What a rewrite did to a network."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Applied:
    """What a rewrite did.

    Args:
        name: of the rewrite.
        places: where it applies.
        removed, added: numbers of operations by kind.
        needs: what it applies to, in words.
    """

    name: str
    places: int
    removed: dict[str, int]
    added: dict[str, int]
    needs: str

    @property
    def sentence(self) -> str:
        """What it did, in words."""
        if not self.places:
            return f"{self.name}: applies nowhere, as it needs {self.needs}"
        removed, added = (
            ", ".join(f"{n} {kind}" for kind, n in of.items()) for of in (self.removed, self.added)
        )
        changes = [f"{verb} {what}" for verb, what in (("removes", removed), ("adds", added)) if what]
        places = "1 place" if self.places == 1 else f"{self.places} places"
        return f"{self.name}: applies in {places}, {', '.join(changes) or 'changes the form'}"

"""A verb of this suite, run by the same door as the others."""

VERBS = ("load",)

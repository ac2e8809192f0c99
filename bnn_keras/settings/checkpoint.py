"""The two sets of weights that a run keeps, the files of its folder that hold them, and published weights."""

BEST, LAST = "best", "last"
FILES = {BEST: "best.keras", LAST: "model.keras"}
IMAGENET = "imagenet"  # in place of a checkpoint's path: the weights that others have published
STEPS = 500  # of training between two checkpoints

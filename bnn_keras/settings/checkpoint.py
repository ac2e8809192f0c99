"""The two sets of weights that a run keeps, and the file of its folder that holds each of them."""

BEST, LAST = "best", "last"
FILES = {BEST: "best.keras", LAST: "model.keras"}
STEPS = 500  # of training between two checkpoints

"""Measure how long something takes, beside its alternatives.

bnn benchmark VERB [flags]

What is compared takes turns, so that a busy machine slows all of it alike; the A/A ratio is the first one
over itself.
"""

VERBS = ("data", "convert", "rewrites", "step", "train", "flips", "distill", "infer")

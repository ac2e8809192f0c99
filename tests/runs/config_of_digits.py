"""The configuration of a run on digits, as its folder holds it."""

from bnn_keras.runs.config import RunConfig
from bnn_keras.settings.recipe import Recipe

CONFIG = RunConfig(
    model="meliusneta",
    dataset="digits",
    kind="digits",
    image_size=32,
    classes=10,
    normalization="digits",
    recipe=Recipe(epochs=1, batch_size=16, optimizer="adam", learning_rate=0.01),
)

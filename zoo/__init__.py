"""The networks, by their published names.

zoo.list_models()
zoo.build("meliusnet22", input_shape=(32, 32, 3), classes=10)
"""

import bnn_keras  # noqa: F401  first: it sets Keras 2 before TensorFlow is imported
from zoo.recipes import list_recipes
from zoo.registry import build, list_models, recipe, settings_of, variant

__all__ = ["build", "list_models", "list_recipes", "recipe", "settings_of", "variant"]

"""The flags of distillation: one for every field of its settings."""

import dataclasses

from absl import flags

from bnn_keras.settings.distillation import DistillationSettings
from bnn_keras.settings.recipe import _Parser


def define_flags(values: flags.FlagValues) -> None:
    """Define a flag for every field."""
    for field in dataclasses.fields(DistillationSettings):
        kind, text = field.metadata["kind"], field.metadata["help"]
        flags.DEFINE(_Parser(kind), field.name, field.default, text, values)


def given(values: flags.FlagValues) -> DistillationSettings:
    """The settings that the command line gives."""
    return DistillationSettings(
        **{field.name: values[field.name].value for field in dataclasses.fields(DistillationSettings)}
    )

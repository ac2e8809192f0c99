"""What a search writes into its run folder beside what every training does: the cells of each epoch."""

import tensorflow as tf
from typing_extensions import override

from bnn_keras import files
from bnn_keras.runs.folder import RunFolder
from bnn_keras.search import genotypes, picture
from bnn_keras.search.searcher import Searcher
from bnn_keras.settings.search import SearchSettings, Space

HELD_OUT_ACCURACY = "val_accuracy"  # Keras's name


class Record(tf.keras.callbacks.Callback):
    """Writes the cells with which an epoch began, and those of the best epoch so far as the result.

    The authors' code takes these cells, too, and not those that the epoch ends with. An epoch with a form of
    cells that has nothing but zeroise is never the best.

    Args:
        folder: of the run.
        space: what is searched.
        settings: of the search.
    """

    model: Searcher

    def __init__(self, folder: RunFolder, space: Space, settings: SearchSettings) -> None:
        super().__init__()
        self._folder, self._space, self._settings = folder, space, settings

    @override
    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.model.epoch.assign(epoch)

    @override
    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        weights = {form: tf.nn.softmax(s).numpy() for form, s in self.model.first_scores.items()}
        cells = genotypes.find(weights, self._space, self._settings)
        accuracy = float(logs[HELD_OUT_ACCURACY])
        found = genotypes.Genotype(cells, epoch + 1, accuracy)
        files.write_text(self._folder.genotypes / f"epoch{epoch + 1}.json", found.to_json())
        if accuracy > float(self.model.best_accuracy) and genotypes.is_usable(cells, self._space):
            self.model.best_accuracy.assign(accuracy)
            files.write_text(self._folder.genotype, found.to_json())
            has_shortcut = not self._settings.no_skip
            with files.replacing(self._folder.cells) as temporary:
                temporary.write_bytes(picture.draw(cells, self._space, has_shortcut))
        # Of the next epoch; a checkpoint in the middle of it holds them.
        for form, scores in self.model.scores.items():
            self.model.first_scores[form].assign(scores)

"""Architecture search: operations are weighted by scores, which are trained in turn with the weights.

halves     the training set in two halves
searcher   the two updates of a step
genotypes  cells, and how they are chosen
record     the cells of every epoch, in the run folder
picture    a drawing of cells
run        a whole search
"""

from bnn_keras.search.run import check, search

__all__ = ["check", "search"]

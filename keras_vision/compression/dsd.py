"""Dense-sparse-dense training: a network is trained, pruned and trained, and trained once more with all its weights.

Source: Han et al. (2016b), DSD: Dense-Sparse-Dense Training for Deep Neural Networks, section 2 and Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras

from keras_vision.compression.gradual import KeepPruned
from keras_vision.compression.pruning import prune

PHASES = ("dense", "sparse", "dense again")


def dense_sparse_dense(
    model: keras.Model,
    fit: Callable[[str, list[keras.callbacks.Callback]], Any],
    *,
    sparsity: float = 0.5,
    scope: str = "layer",
    layers: Iterable[str] | None = None,
    trained: bool = False,
) -> dict[str, Any]:
    """Run the three phases on a model, in place.

    After the first, each kernel loses its smallest weights; in the second they stay zero; in the third they start
    from zero and train with the others, at a tenth of the rate in the paper.

    Args:
        model: built; compiled if `fit` calls `model.fit`.
        fit: trains the model for a phase: called with "dense", "sparse" or "dense again", and the callbacks to
            train it with. It sets the learning rate of the phase.
        sparsity: share of zeros in the second phase; the paper takes 0.25 to 0.5 for convolutional networks.
        scope: see `magnitude_masks`.
        layers: names of layers or kernels to prune; None for all.
        trained: the model is trained already; leave the first phase out.

    Returns:
        What `fit` returned, by phase.

    Raises:
        KerasVisionError: as `magnitude_masks`.
    """
    found = {}
    if not trained:
        found[PHASES[0]] = fit(PHASES[0], [])
    masks = prune(model, sparsity, scope, layers)
    found[PHASES[1]] = fit(PHASES[1], [KeepPruned(masks)])
    found[PHASES[2]] = fit(PHASES[2], [])
    return found

"""How much each layer suffers from pruning, one at a time (Han et al., 2015, Figure 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import keras

from keras_vision.compression.kernel_variables import chosen, values_of
from keras_vision.compression.pruning import prune

SHARES = (0.5, 0.7, 0.8, 0.9)


def sensitivity(
    model: keras.Model,
    score: Callable[[keras.Model], float],
    shares: Sequence[float] = SHARES,
    layers: Iterable[str] | None = None,
) -> dict[str, dict[float, float]]:
    """Score of the model with one kernel pruned, for each kernel and each share of zeros.

    The model has its own weights again afterwards, also if `score` fails.

    Args:
        model: built.
        score: what to measure, such as accuracy on images that no test is made with.
        shares: shares of zeros, each from 0 to less than 1.
        layers: names of layers or kernels; None for all.

    Returns:
        By kernel: share of zeros to score.

    Raises:
        KerasVisionError: a share out of range, an unknown name.
    """
    found: dict[str, dict[float, float]] = {}
    for path, variable in chosen(model, layers).items():
        before = values_of(variable).copy()
        found[path] = {}
        try:
            for share in shares:
                prune(model, share, "layer", [path])
                found[path][share] = float(score(model))
                variable.assign(before)
        finally:
            variable.assign(before)
    return found


def tolerated(found: dict[str, dict[float, float]], least: float) -> dict[str, float]:
    """The largest share of zeros for each kernel up to which its score stays at `least`; 0 where none does.

    What `prune` takes as its `sparsity`.
    """
    shares = {}
    for path, scores in found.items():
        shares[path] = 0.0
        for share in sorted(scores):
            if scores[share] < least:
                break
            shares[path] = share
    return shares

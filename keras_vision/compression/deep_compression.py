"""Deep Compression in one call: prune, share weights, Huffman-code, and say where the bytes went.

Source: Han et al. (2016), Deep Compression, Figure 1; SqueezeNet (Iandola et al., 2016), section 4 and Table 2.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras

from keras_vision import graph
from keras_vision.compression.ledger import Ledger
from keras_vision.compression.packing import pack
from keras_vision.compression.prune import prune, sparsity_of
from keras_vision.compression.quantize import share_weights
from keras_vision.compression.tuning import fine_tune_centroids, tune_masked
from keras_vision.errors import KerasVisionError

Progress = Callable[[str, int, float], None]


def compress(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    bits: int = 8,
    sparsity: float | None = None,
    scope: str = "lamp",
    layers: Iterable[str] | None = None,
    images: Iterable | None = None,
    steps: int = 100,
    rate: float = 1e-4,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Ledger:
    """Prune a model, share its weights, and write the packed file. The model itself becomes the compressed one.

    Args:
        model: built, with finite weights.
        path: file to write, usually `.kvpack`.
        bits: 4, 5, 6 or 8: at most `2 ** bits` values for a kernel, 0 among them.
        sparsity: share of the kernels' weights that are zero afterwards; what is zero already counts. None: no pruning.
        scope: how weights of different kernels compare; see `magnitude_masks`.
        layers: names of layers or kernels to prune and share; None for all.
        images: batches of preprocessed images, without labels or with labels that are ignored. With them the pruned
            network, and then its shared values, are trained towards what the network gave before.
        steps: of each of the two trainings.
        rate: learning rate of both.
        progress: called with the stage, its step from 1, and the loss.
        overwrite: replace an existing file.

    Raises:
        KerasVisionError: an argument out of range, NaN weights, or the file exists or cannot be written; the model
            may have changed by then, except where the file exists.
    """
    if Path(path).exists() and not overwrite:
        raise KerasVisionError(f"{path} exists already; pass overwrite=True, or choose another path.")
    chosen_layers = None if layers is None else list(layers)
    teacher = None if images is None else _copy(model)
    options: dict[str, Any] = dict(steps=steps, teacher=teacher)
    if sparsity is not None and sparsity > sparsity_of(model):
        masks = prune(model, sparsity, scope, chosen_layers)
        if images is not None:
            tune_masked(model, images, masks=masks, **options, **_how(rate, progress, "pruned"))
    shared = share_weights(model, bits, chosen_layers)
    if images is not None:
        fine_tune_centroids(model, shared, images, **options, **_how(rate, progress, "shared"))
    return pack(model, path, overwrite=overwrite)


def _copy(model: keras.Model) -> keras.Model:
    copy = graph.cloned(model)
    copy.set_weights(model.get_weights())
    return copy


def _how(rate: float, progress: Progress | None, stage: str) -> dict[str, Any]:
    def report(step: int, loss: float) -> None:
        if progress is not None:
            progress(stage, step, loss)

    return dict(optimizer=keras.optimizers.Adam(rate), progress=report)

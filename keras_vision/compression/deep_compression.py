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
from keras_vision.compression.kernel_variables import chosen
from keras_vision.compression.ledger import Ledger
from keras_vision.compression.packing import pack
from keras_vision.compression.pruning import apply_masks, check_share, magnitude_masks, sparsity_of
from keras_vision.compression.quantize import check_bits, share_weights
from keras_vision.compression.reconstruct import prune_reconstructed, share_reconstructed
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
    steps: int = 0,
    rate: float = 1e-5,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> Ledger:
    """Prune a model, share its weights, and write the packed file. The model itself becomes the compressed one.

    Args:
        model: built, with finite weights; functional, with images.
        path: file to write, usually `.kvpack`.
        bits: 4, 5, 6 or 8: at most `2 ** bits` values for a kernel, 0 among them.
        sparsity: share of the kernels' weights that are zero afterwards; what is zero already counts. None: no pruning.
        scope: how weights of different kernels compare; see `magnitude_masks`.
        layers: names of layers or kernels to prune and share; None for all.
        images: batches of preprocessed images to keep the layers' outputs on, gone through several times; labels
            are ignored. See `prune_reconstructed`. None: weights are pruned and rounded by themselves.
        steps: with images, further steps of training after pruning, and again after sharing, towards the outputs that
            the network gave before; see `tune_masked` and `fine_tune_centroids`.
        rate: learning rate of these.
        progress: called with the stage, its step from 1, and the loss, in this training.
        overwrite: replace an existing file.

    Raises:
        KerasVisionError: an argument out of range, NaN weights, or the file exists or cannot be written. The model
            is as it was, unless writing failed.
    """
    if Path(path).exists() and not overwrite:
        raise KerasVisionError(f"{path} exists already; pass overwrite=True, or choose another path.")
    if steps and images is None:
        raise KerasVisionError(f"steps={steps} without images; give photographs to train on.")
    check_bits(bits)
    names = list(chosen(model, layers))
    teacher = _copy(model) if steps else None
    if sparsity is not None:
        check_share(sparsity)
        if sparsity > sparsity_of(model):
            masks = magnitude_masks(model, sparsity, scope, names)
            if images is None:
                apply_masks(model, masks)
            else:
                prune_reconstructed(model, masks, images)
            if images is not None and steps:
                tune_masked(model, images, masks=masks, **_how(steps, teacher, rate, progress, "pruned"))
    if images is None:
        share_weights(model, bits, names)
    else:
        shared = share_reconstructed(model, bits, images, names)
        if steps:
            fine_tune_centroids(model, shared, images, **_how(steps, teacher, rate, progress, "shared"))
    return pack(model, path, overwrite=overwrite)


def _copy(model: keras.Model) -> keras.Model:
    copy = graph.cloned(model)
    copy.set_weights(model.get_weights())
    return copy


def _how(steps: int, teacher: Any, rate: float, progress: Progress | None, stage: str) -> dict[str, Any]:
    def report(step: int, loss: float) -> None:
        if progress is not None:
            progress(stage, step, loss)

    return dict(steps=steps, teacher=teacher, optimizer=keras.optimizers.Adam(rate), progress=report)

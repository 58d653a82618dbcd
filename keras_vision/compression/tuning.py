"""Training that repairs what pruning and sharing cost: masked weights or shared centroids, with labels or a teacher.

Sources: Han et al. (2016), Deep Compression, section 3.3 (the gradient of a centroid is the sum of its weights');
Hinton et al. (2015), Distilling the Knowledge in a Neural Network (a teacher's outputs in place of labels).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.compression.kernel_variables import chosen
from keras_vision.compression.pruning import Masks, apply_masks, matched, zero_masks
from keras_vision.compression.quantize import SharedKernel
from keras_vision.errors import KerasVisionError

Loss = Callable[[Any, Any], Any]


def tune_masked(
    model: keras.Model,
    batches: Iterable,
    *,
    steps: int,
    masks: Masks | None = None,
    teacher: keras.Model | None = None,
    loss: Loss | None = None,
    optimizer: keras.optimizers.Optimizer | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train, in place, the weights that pruning has left, and biases; zeros stay zeros.

    Batch norm keeps its statistics, and dropout is off: a pruned network is close to its goal already.

    Args:
        model: pruned.
        batches: of preprocessed images `(n, h, w, c)` with labels; with a teacher, images alone or first in a tuple.
            Started again where it ends.
        steps: steps of the optimizer.
        masks: of `prune`; None for the zeros that are there.
        teacher: the network before pruning; its outputs take the place of labels.
        loss: of (wanted, given) outputs; None for Kullback-Leibler divergence with a teacher, else sparse categorical
            cross-entropy, both of probabilities.
        optimizer: None for Adam at 1e-4.
        progress: called with the step, from 1, and its loss.

    Raises:
        KerasVisionError: no batches, labels missing, masks of another model, or a loss that is not finite.
    """
    masks = zero_masks(model) if masks is None else masks
    apply_masks(model, masks)
    tied = _Masked(model, masks)
    _tune(model, tied, batches, steps, teacher, loss, optimizer, progress)


def fine_tune_centroids(
    model: keras.Model,
    shared: Mapping[str, SharedKernel],
    batches: Iterable,
    *,
    steps: int,
    teacher: keras.Model | None = None,
    loss: Loss | None = None,
    optimizer: keras.optimizers.Optimizer | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> dict[str, SharedKernel]:
    """Train, in place, the values that shared weights take, and biases; which weights share a value stays.

    Zeros stay zeros. The arguments are those of `tune_masked`, but for `shared`, which is what `share_weights` gave.

    Returns:
        The shared kernels with their new centroids.

    Raises:
        KerasVisionError: as `tune_masked`.
    """
    tied = _Centroids(model, shared)
    _tune(model, tied, batches, steps, teacher, loss, optimizer, progress)
    return tied.shared()


class _Masked:
    def __init__(self, model: keras.Model, masks: Masks):
        pairs = matched(model, masks)
        self.kernels = [variable for variable, _ in pairs]
        self.variables = self.kernels
        self._masks = [tf.constant(mask, variable.dtype) for variable, mask in pairs]

    def gradients(self, of_kernels: list[Any]) -> list[Any]:
        return [gradient * mask for gradient, mask in zip(of_kernels, self._masks, strict=True)]

    def write(self) -> None:
        for variable, mask in zip(self.kernels, self._masks, strict=True):
            variable.assign(variable.value * mask)


class _Centroids:
    def __init__(self, model: keras.Model, shared: Mapping[str, SharedKernel]):
        every = chosen(model, shared)
        for path, kernel in shared.items():
            if path not in every or tuple(every[path].shape) != kernel.codes.shape:
                raise KerasVisionError(f"shared weights of {path} do not fit {model.name}; share its weights anew.")
        self._shared = dict(shared)
        self.kernels = [every[path] for path in shared]
        self.variables = [keras.Variable(kernel.centroids, name="centroids") for kernel in shared.values()]
        self._codes = [tf.constant(kernel.codes, tf.int32) for kernel in shared.values()]
        self._free = [
            tf.constant(np.arange(kernel.centroids.size) >= kernel.pruned, tf.float32) for kernel in shared.values()
        ]

    def gradients(self, of_kernels: list[Any]) -> list[Any]:
        return [
            tf.math.unsorted_segment_sum(gradient, codes, free.shape[0]) * free
            for gradient, codes, free in zip(of_kernels, self._codes, self._free, strict=True)
        ]

    def write(self) -> None:
        for variable, centroids, codes in zip(self.kernels, self.variables, self._codes, strict=True):
            variable.assign(tf.gather(centroids.value, codes))

    def shared(self) -> dict[str, SharedKernel]:
        return {
            path: SharedKernel(np.asarray(centroids), kernel.codes, kernel.pruned)
            for (path, kernel), centroids in zip(self._shared.items(), self.variables, strict=True)
        }


def _tune(
    model: keras.Model,
    tied: _Masked | _Centroids,
    batches: Iterable,
    steps: int,
    teacher: keras.Model | None,
    loss: Loss | None,
    optimizer: keras.optimizers.Optimizer | None,
    progress: Callable[[int, float], None] | None,
) -> None:
    kinds = (keras.losses.KLDivergence, keras.losses.SparseCategoricalCrossentropy)
    loss = loss or kinds[teacher is None]()
    optimizer = optimizer or keras.optimizers.Adam(1e-4)
    every = {id(variable) for variable in chosen(model, None).values()}
    others = [variable for variable in model.trainable_variables if id(variable) not in every]
    optimizer.build([*tied.variables, *others])

    @tf.function(reduce_retracing=True)
    def step(images: Any, wanted: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(wanted, model(images, training=False))
        sources = [variable.value for variable in (*tied.kernels, *others)]
        found = tape.gradient(value, sources, unconnected_gradients="zero")
        count = len(tied.kernels)
        optimizer.apply([*tied.gradients(found[:count]), *found[count:]], [*tied.variables, *others])
        tied.write()
        return value

    for number, (images, labels) in enumerate(_forever(batches, steps, teacher is None), 1):
        value = float(step(images, labels if teacher is None else teacher(images, training=False)))
        if not np.isfinite(value):
            raise KerasVisionError(f"the loss of step {number} is {value}; give an optimizer with a smaller rate.")
        if progress is not None:
            progress(number, value)


def _forever(batches: Iterable, steps: int, labelled: bool) -> Iterator[tuple[Any, Any]]:
    """As many batches as there are steps: images and labels, or images and None."""
    given = 0
    while given < steps:
        before = given
        for batch in itertools.islice(batches, steps - given):
            pair = batch if isinstance(batch, tuple | list) else (batch, None)
            if labelled and (len(pair) < 2 or pair[1] is None):
                raise KerasVisionError("batches without labels; give (images, labels), or a teacher.")
            given += 1
            yield tf.convert_to_tensor(pair[0]), pair[1]
        if given == before:
            raise KerasVisionError("no batches to train with; give images, again and again if it is an iterator.")

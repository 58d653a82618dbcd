"""A pairwise term of the energy: a normalised kernel between pixels, and what two labels cost each other."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_vision.ops.crf.energy import Bilateral, Gaussian, Kernel, Potts
from keras_vision.ops.crf.permutohedral import permutohedral_filter
from keras_vision.ops.crf.reference import SIDES

Filter = Callable[[Any], Any]  # tensors (pixels, k) -> (pixels, k)

FAR = 6.5  # deviations; the Gaussian is 7e-10 there
MOST_KERNELS = 16  # of dense_crf
TINY = 1e-20  # keeps a pixel without neighbours on the lattice from dividing by zero


@dataclass(frozen=True, eq=False)
class Term:
    """A kernel and its compatibility.

    Args:
        build: gives the kernel without normalisation, (pixels, k) -> (pixels, k), when it is first needed.
        compat: () a reward for equal labels (Potts); (labels,) what a label pays for itself; or (labels, labels).
        normalization: as of `dense_crf`.
        pixels: how many.
        named: what `dense_crf` calls the kernel, with weight 1; None if it has no name for it.
        image: (h, w, 3), what a Bilateral kernel looks at.
    """

    build: Callable[[], Filter]
    compat: np.ndarray
    normalization: str
    pixels: int
    named: Kernel | None = None
    image: np.ndarray | None = None

    @functools.cached_property
    def smooth(self) -> Filter:
        """The kernel without normalisation."""
        return self.build()

    @functools.cached_property
    def penalties(self) -> np.ndarray:
        """The compatibility as in the energy: a matrix is made symmetric, and Potts is a reward, as in pydensecrf."""
        return (self.compat + self.compat.T) / 2 if self.compat.ndim == 2 else self.compat

    @functools.cached_property
    def _sides(self) -> tuple[Any, Any] | None:
        left, right = SIDES[self.normalization]
        if left == right == 0:
            return None
        mass = self.smooth(np.ones((self.pixels, 1), np.float32)) + np.float32(TINY)
        return mass**left, mass**right

    def energy(self, marginals: Any) -> Any:
        """What each label of each pixel pays, where the others have these marginals: tensors (pixels, labels)."""
        if self._sides is None:
            heard = self.smooth(marginals)
        else:
            left, right = self._sides
            heard = left * self.smooth(right * marginals)
        if self.compat.ndim == 2:
            return heard @ self.penalties
        return heard * (self.penalties if self.compat.ndim else -self.penalties)


def on_lattice(features: np.ndarray) -> Filter:
    """The Gaussian of features (d, pixels), in standard deviations, on the permutohedral lattice."""
    points = np.array(features.T, np.float32, order="C")[None]
    return lambda values: permutohedral_filter(values[None], points)[0]


def positions_and_colours(image: np.ndarray, theta: Sequence[float], colours: Sequence[float]) -> np.ndarray:
    """Features (x, y, channels ...) of an image (h, w, c) in standard deviations: (2 + c, pixels)."""
    height, width, channels = image.shape
    y, x = np.divmod(np.arange(height * width), width)
    levels = image.reshape(-1, channels).astype(np.float32) / np.array(colours, np.float32)
    return np.stack([x / theta[0], y / theta[1], *levels.T]).astype(np.float32)


def over_grid(height: int, width: int, theta: Sequence[float]) -> Filter:
    """The Gaussian of the pixels' positions, deviations (x, y): one axis after the other, exact to float precision."""
    import tensorflow as tf

    across, down = _along_first_axis(width, theta[0]), _along_first_axis(height, theta[1])

    def smooth(values: Any) -> Any:
        rows = tf.reshape(down(tf.reshape(values, (height, -1))), (height, width, -1))
        columns = tf.reshape(tf.transpose(rows, (1, 0, 2)), (width, -1))  # one large product, not one a row
        blurred = tf.reshape(across(columns), (width, height, -1))
        return tf.reshape(tf.transpose(blurred, (1, 0, 2)), values.shape)

    return smooth


def _along_first_axis(size: int, deviation: float) -> Callable[[Any], Any]:
    """The Gaussian of positions 0 .. size - 1: (size, k) -> (size, k), by those blocks of its matrix that are not 0."""
    import tensorflow as tf

    reach = min(size, math.ceil(FAR * deviation))
    block = max(reach, 32)
    parts = []
    for first in range(0, size, block):
        targets, sources = np.arange(first, min(first + block, size)), np.arange(max(0, first - reach), size)
        sources = sources[: targets[-1] + reach + 1 - sources[0]]
        weights = np.exp(-0.5 * np.square((targets[:, None] - sources) / deviation))
        parts.append((tf.constant(weights, tf.float32), slice(sources[0], sources[-1] + 1)))
    # TensorFlow's products: NumPy's threads wait in a spin and collapse when another program takes a core.
    return lambda values: tf.concat([tf.matmul(weights, values[sources]) for weights, sources in parts], axis=0)


def as_dense_crf(terms: Sequence[Term]) -> tuple[tuple[Kernel, ...], np.ndarray | Potts, str, np.ndarray | None] | None:
    """Kernels, compatibility, normalization and image with which `dense_crf` computes these terms; None if it cannot.

    It has one compatibility, one normalisation and one image for all kernels; each kernel has its weight.
    """
    first = terms[0]
    if len(terms) > MOST_KERNELS:
        return None
    images = [term.image for term in terms if term.image is not None]
    if any(term.normalization != first.normalization for term in terms):
        return None
    if any(not np.array_equal(image, images[0]) for image in images):
        return None
    compatibility: np.ndarray | Potts = Potts()
    if all(term.compat.ndim == 0 for term in terms):
        weights = [float(term.compat) for term in terms]
    elif all(np.array_equal(term.compat, first.compat) for term in terms):
        weights = [1.0] * len(terms)
        compatibility = np.diag(first.penalties) if first.compat.ndim == 1 else first.penalties
    else:
        return None
    kernels: list[Gaussian | Bilateral] = []
    for term, weight in zip(terms, weights, strict=True):
        if term.named is None:
            return None
        kernels.append(replace(term.named, weight=weight))
    return tuple(kernels), compatibility, first.normalization, images[0] if images else None

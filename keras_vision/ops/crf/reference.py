"""Mean-field inference of the fully-connected CRF in `keras.ops`: for other backends and exported files."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf.energy import Kernel, Potts
from keras_vision.ops.crf.parameters import compatibility_terms, strengths

Filter = Callable[[Any], Any]  # (n, h, w, k) -> (n, h, w, k)

PAIRS = 2**20  # of pixels compared in one go: arrays of 4 MB; larger ones are no faster

# The kernel's mass D = K 1 is raised to these powers on its two sides: D^left K D^right.
SIDES = {"symmetric": (-0.5, -0.5), "before": (0.0, -1.0), "after": (-1.0, 0.0), "none": (0.0, 0.0)}


def mean_field(
    logits: Any,
    image: Any,
    kernels: Sequence[Kernel],
    compatibility: Potts | Sequence | np.ndarray,
    iterations: int,
    normalization: str,
    max_sources: int = 4096,
    kernel_weights: Any = None,
) -> Any:
    """Marginals of the fully-connected CRF after some mean-field iterations: (n, h, w, labels) -> (n, h, w, labels).

    One iteration is ``Q = softmax(logits - penalties · sum_k weight_k K_k Q)``; each kernel K includes a pixel's
    message to itself. Gaussian kernels are computed exactly. Bilateral kernels are exact in images of at most
    `max_sources` pixels; in larger ones a pixel listens to itself and to a regular grid of at most `max_sources`
    pixels, each of which speaks for its cell. On two photographs of 320x240 pixels, with the default kernels and
    sources, this changed the marginals by 0.004 on average and the best label of less than 0.6 % of the pixels.

    Time grows with ``n * h * w * max_sources * iterations``, and TensorFlow takes twice as long outside tf.function.
    Memory, beside a few arrays as large as the logits, grows with ``w * max_sources``. The gradient reaches logits,
    image, kernel weights and compatibility, and computes the Bilateral kernels again instead of keeping them.

    Args:
        logits: unnormalised log-probabilities, the negative unary energy; only n may be unknown.
        image: (n, h, w, c), in the units of the Bilateral kernels' theta_beta.
        kernels: Gaussian and Bilateral.
        compatibility: Potts, a factor of it, or penalties (labels, labels): row l holds what a pixel of label l pays.
        iterations: 0 gives the softmax of the logits.
        normalization: of each kernel K, with D = diag(K 1): "symmetric" is D^-1/2 K D^-1/2, "before" K D^-1,
            "after" D^-1 K, "none" K.
        max_sources: bound on the pixels that a pixel listens to in a Bilateral kernel.
        kernel_weights: in place of the kernels' own, (kernels).

    Returns:
        Probabilities, computed in float32, in the logits' dtype if that is float16 or bfloat16, else in float32.

    Raises:
        KerasVisionError: a size is unknown; max_sources is below 1; the energy does not fit the labels or the channels.
            That shapes fit, and that there is such a normalization, is for the caller to check.

    Source: DeepLab, section 4.2; Krähenbühl and Koltun, 2011, algorithm 1.
    """
    logits, image = ops.convert_to_tensor(logits), ops.convert_to_tensor(image)
    if None in (*logits.shape[1:], *image.shape[1:]):
        raise KerasVisionError(
            "the dense CRF in keras.ops takes logits (n, h, w, labels) and an image (n, h, w, c) of which only n may "
            f"be unknown; given: {tuple(logits.shape)} and {tuple(image.shape)}. Resize or pad to one size."
        )
    if max_sources < 1:
        raise KerasVisionError(f"max_sources must be at least 1; given: {max_sources}.")
    dtype = keras.backend.standardize_dtype(logits.dtype)
    logits, image = ops.cast(logits, "float32"), ops.cast(image, "float32")
    factor, matrix = compatibility_terms(compatibility, logits.shape[-1])
    weights = strengths(kernels, kernel_weights, factor)
    parts = weights.tolist() if isinstance(weights, np.ndarray) else ops.unstack(weights, len(kernels))
    filters = [_normalized(_kernel(kernel, image, max_sources), image, normalization) for kernel in kernels]

    def update(_: Any, marginals: Any) -> Any:
        messages = (weight * smooth(marginals) for weight, smooth in zip(parts, filters, strict=True))
        message = sum(messages, ops.zeros_like(marginals))
        # Potts pays for all labels but one's own: minus that one's message, and a constant that the softmax drops.
        return ops.softmax(logits + (message if matrix is None else -ops.matmul(message, ops.transpose(matrix))))

    marginals = ops.fori_loop(0, int(iterations), update, ops.softmax(logits))
    return ops.cast(marginals, dtype if dtype in ("float16", "bfloat16") else "float32")


def _kernel(kernel: Kernel, image: Any, max_sources: int) -> Filter:
    """The unnormalised kernel of a batch of images."""
    height, width, channels = image.shape[1:]
    theta, theta_beta = kernel.thetas(channels)
    if theta_beta is None:
        return _gaussian(height, width, theta)
    scale = ops.convert_to_tensor(np.array(theta_beta) * math.sqrt(2), "float32")
    return _Bilateral(image / scale, theta, max_sources)


def _normalized(smooth: Filter, image: Any, normalization: str) -> Filter:
    """The kernel between powers of its mass."""
    left, right = SIDES[normalization]
    if left == right == 0:
        return smooth
    mass = smooth(ops.ones_like(image[..., :1])) + 1e-20
    before, after = ops.power(mass, right), ops.power(mass, left)
    return lambda x: after * smooth(before * x)


def _exponents(targets: np.ndarray, sources: np.ndarray, theta: float) -> np.ndarray:
    """Of a Gaussian between positions on one axis: (targets, sources)."""
    return -0.5 * ((targets[:, None] - sources) / theta) ** 2


def _gaussian(height: int, width: int, theta: tuple[float, float]) -> Filter:
    """A Gaussian over positions: one matrix for each axis."""
    vertical, horizontal = (
        ops.convert_to_tensor(np.exp(_exponents(np.arange(size), np.arange(size), deviation)), "float32")
        for size, deviation in ((height, theta[1]), (width, theta[0]))
    )

    def smooth(x: Any) -> Any:
        k = x.shape[-1]
        x = ops.matmul(vertical, ops.reshape(x, (-1, height, width * k)))
        x = ops.matmul(horizontal, ops.reshape(x, (-1, width, k)))
        return ops.reshape(x, (-1, height, width, k))

    return smooth


def _spaced(size: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Centred positions `step` apart, and how many pixels are nearest to each."""
    count = math.ceil(size / step)
    positions = np.arange(count) * step + (size - 1 - (count - 1) * step) // 2
    nearest = np.abs(np.arange(size)[:, None] - positions).argmin(axis=1)
    return positions, np.bincount(nearest)


class _Bilateral:
    """A Gaussian over positions and colours (colours in units of √2 deviations), some rows of pixels at a time."""

    def __init__(self, colours: Any, theta: tuple[float, float], max_sources: int):
        self.height, self.width, channels = height, width, _ = colours.shape[1:]
        steps = range(1, height + width)
        self.step = next(s for s in steps if math.ceil(height / s) * math.ceil(width / s) <= max_sources)
        (self.ys, tall), (self.xs, wide) = _spaced(height, self.step), _spaced(width, self.step)
        self.count = len(self.ys) * len(self.xs)
        self.chunks = math.ceil(height / max(1, PAIRS // (width * self.count)))
        self.rows = math.ceil(height / self.chunks)
        padded = self.chunks * self.rows
        vertical = np.exp(_exponents(np.arange(padded), self.ys, theta[1]))
        vertical = vertical.reshape(self.chunks, self.rows, -1, 1, 1)
        self.vertical = ops.convert_to_tensor(vertical, "float32")
        horizontal = _exponents(np.arange(width), self.xs, theta[0])[:, None]
        self.horizontal = ops.convert_to_tensor(horizontal, "float32")
        self.cells = ops.convert_to_tensor((tall[:, None] * wide)[..., None], "float32")
        targets = ops.pad(colours, ((0, 0), (0, padded - height), (0, 0), (0, 0)))
        targets = ops.reshape(targets, (-1, self.rows, width, channels, 1))
        self.targets = ops.transpose(targets, (0, 3, 1, 2, 4))
        self.sources = ops.transpose(ops.reshape(self._pick(colours), (-1, self.count, channels)), (0, 2, 1))

    def __call__(self, x: Any) -> Any:
        values, k = self._pick(x) * self.cells, x.shape[-1]
        listen = keras.remat(self._listen)  # else a gradient would keep each pair of pixels in memory

        def some_rows(unused: Any, index: Any) -> tuple[Any, Any]:
            image, chunk = index // self.chunks, index % self.chunks
            parts = ((self.targets, index), (self.sources, image), (values, image), (self.vertical, chunk))
            return unused, listen(*(ops.take(array, i, axis=0) for array, i in parts))

        # Not ops.map: on TensorFlow it works on ten chunks at once, and in eager mode traces the function for each.
        indices = ops.arange(ops.shape(self.targets)[0])
        _, heard = ops.scan(some_rows, ops.zeros((self.rows, self.width, k)), indices)
        heard = ops.reshape(heard, (-1, self.chunks * self.rows, self.width, k))[:, : self.height]
        # A colour that is not on the grid hears only itself then, which in the full sum it would mainly do, too.
        return heard if self.step == 1 else heard + x

    def _pick(self, x: Any) -> Any:
        return x[:, self.ys[0] :: self.step, self.xs[0] :: self.step]

    def _listen(self, target: Any, source: Any, value: Any, vertical: Any) -> Any:
        # Squares of differences: |a|² - 2ab + |b|² is one product, but cancels in float32 and is useless in TF32.
        differences = map(ops.subtract, ops.unstack(target), ops.unstack(source))
        distance = functools.reduce(ops.add, map(ops.square, differences))
        distance = ops.reshape(distance, (self.rows, self.width, len(self.ys), len(self.xs)))
        weights = ops.reshape(ops.exp(self.horizontal - distance), (self.rows, self.width, self.count))
        return ops.matmul(weights, ops.reshape(value * vertical, (self.rows, self.count, value.shape[-1])))

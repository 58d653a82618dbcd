"""How probable a DRAW finds images: the bound that it is trained on, and an importance-weighted estimate."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from keras_vision.errors import KerasVisionError
from keras_vision.generative.draw import DRAWModel
from keras_vision.generative.nats import checked_images

BATCH, ROWS = 100, 1000  # images computed, and held, at a time


class Bound(NamedTuple):
    """An upper bound on ``-log p(x)`` in nats for each image, `(n,)`: the sum of both.

    Attributes:
        reconstruction: ``-log p(x|z)``.
        latent: divergence of the codes from standard normals.
    """

    reconstruction: np.ndarray
    latent: np.ndarray

    @property
    def nats(self) -> float:
        """The mean over the images, which papers print with "<="."""
        return float(np.mean(self.reconstruction, dtype=np.float64) + np.mean(self.latent, dtype=np.float64))


def variational_bound(model: DRAWModel, images: Any, seed: int = 0) -> Bound:
    """The bound of each image, with one sample of the codes, as in training.

    Args:
        model: a `DRAW`.
        images: `(n, B, A, c)` in [0, 1].
        seed: of the noise.

    Raises:
        KerasVisionError: another shape, or values outside [0, 1].

    Source: Equation 12.
    """
    pixels, rng = checked_images(images, model.cell.image_shape), np.random.default_rng(seed)
    reconstruction, latent = [], []
    for start in range(0, len(pixels), ROWS):
        batch = pixels[start : start + ROWS]
        canvas, mean, log_sigma = _posterior(model, batch, _noise(model, len(batch), rng))
        reconstruction.append(_missing(batch, canvas))
        latent.append(0.5 * (mean**2 + np.exp(2 * log_sigma) - 2 * log_sigma - 1).sum((1, 2)))
    return Bound(np.concatenate(reconstruction), np.concatenate(latent))


def log_likelihood(model: DRAWModel, images: Any, samples: int = 50, seed: int = 0) -> np.ndarray:
    """``log p(x)`` of each image in nats, `(n,)`: the logarithm of the mean of importance weights ``p(x, z) / q(z|x)``.

    In the mean it is too low, the less so the more samples; with one sample its mean is minus the bound.

    Args:
        model: a `DRAW`.
        images: `(n, B, A, c)` in [0, 1], usually of zeros and ones.
        samples: of the codes, for each image.
        seed: of the noise.

    Raises:
        KerasVisionError: no samples, another shape, or values outside [0, 1].

    Source: Burda et al. (2015), "Importance Weighted Autoencoders", Equation 8.
    """
    if samples < 1:
        raise KerasVisionError(f"samples={samples}; give at least one.")
    pixels, rng = checked_images(images, model.cell.image_shape), np.random.default_rng(seed)
    weights = np.empty(len(pixels) * samples)  # the logarithms, of all samples of the first image, then the next
    for start in range(0, len(weights), ROWS):
        rows = np.arange(start, min(start + ROWS, len(weights)))
        batch, noise = pixels[rows // samples], _noise(model, len(rows), rng)
        canvas, mean, log_sigma = _posterior(model, batch, noise)
        z = mean + np.exp(log_sigma) * noise
        prior_to_posterior = (0.5 * (noise.astype(np.float64) ** 2 - z**2) + log_sigma).sum((1, 2))
        weights[rows] = prior_to_posterior - _missing(batch, canvas)
    return logsumexp(weights.reshape(-1, samples), axis=1) - math.log(samples)


def _posterior(model: DRAWModel, images: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, ...]:
    """Logits of the canvas, means and log sigmas of the codes."""
    found, codes = model.posterior.predict([images, noise], batch_size=BATCH, verbose=0), model.cell.codes
    return found["canvas"], found["outputs"][..., :codes], found["outputs"][..., codes : 2 * codes]


def _noise(model: DRAWModel, n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((n, model.steps, model.cell.codes), np.float32)


def _missing(images: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """``-log p(x|z)`` of each image."""
    logits = logits.astype(np.float64)
    return (np.logaddexp(0, logits) - logits * images).sum((1, 2, 3))

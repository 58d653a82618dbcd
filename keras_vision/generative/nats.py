"""The two parts of DRAW's bound, in nats per image, and the images that they are of."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_vision.errors import KerasVisionError


@keras.saving.register_keras_serializable("keras_vision")
class BernoulliNats(keras.losses.Loss):
    """``-log p(x)`` of images in [0, 1] under independent pixels whose probabilities are ``sigmoid(logits)``, summed.

    Images `(n, B, A, c)` and logits of that shape; the mean over the batch is the loss. Intensities between 0 and 1
    count as probabilities: of grey pixels, and of each channel of colours (the paper's section 4.4 on).

    Source: Equation 9.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        logits = ops.cast(y_pred, "float32")
        nats = ops.softplus(logits) - logits * ops.cast(y_true, "float32")
        return ops.sum(ops.reshape(nats, (ops.shape(nats)[0], -1)), axis=-1)


@keras.saving.register_keras_serializable("keras_vision")
class GivenNats(keras.losses.Loss):
    """The mean over the batch of what the model gives, `(n,)`; the target is not looked at."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.cast(y_pred, "float32")


@keras.saving.register_keras_serializable("keras_vision")
class LatentNats(layers.Layer):
    """The divergence of z's distributions from standard normals, summed over steps: `(n, T, 2 z + ...) -> (n,)`.

    ``1/2 sum (mean**2 + sigma**2 - log sigma**2 - 1)``, of the means and log sigmas that come first in the last axis.

    Args:
        codes: z's dimensions.

    Source: Equation 11.
    """

    def __init__(self, codes: int, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.codes = codes

    def call(self, outputs: Any) -> Any:
        mean, log_sigma = outputs[..., : self.codes], outputs[..., self.codes : 2 * self.codes]
        return 0.5 * ops.sum(mean**2 + ops.exp(2 * log_sigma) - 2 * log_sigma - 1, axis=(1, 2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "codes": self.codes}


def checked_images(images: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """Images as float32 `(n, *shape)`; of a single channel, `(n, B, A)` and rows of pixels `(n, B * A)` do, too.

    Raises:
        KerasVisionError: another shape, none, or values outside [0, 1].
    """
    pixels = np.asarray(images)
    if pixels.ndim in (2, 3) and pixels.size and pixels.shape[1:] in ((shape[0] * shape[1],), shape[:2]):
        pixels = pixels.reshape(len(pixels), *shape[:2], -1)
    if pixels.ndim != 4 or pixels.shape[1:] != shape or not len(pixels):
        raise KerasVisionError(f"images of shape {np.shape(images)}; give (n, {', '.join(map(str, shape))}), n from 1.")
    pixels = pixels.astype(np.float32, copy=False)
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):
        raise KerasVisionError(
            f"images with values from {low:g} to {high:g}; give intensities from 0 to 1, such as pixels / 255."
        )
    return pixels

"""The fully-connected CRF at work (DeepLab, Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vision.data.palettes import voc_palette
from keras_vision.errors import KerasVisionError
from keras_vision.ops import dense_crf

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def crf_iterations(
    logits: Any, image: Any, *, label: int | None = None, iterations: Sequence[int] = (1, 2, 10), **options: Any
) -> Figure:
    """The image, the network's output, the marginals after some iterations, and the result over the image.

    Args:
        logits: one image's, (h, w, labels).
        image: (h, w, 3), 0-255.
        label: draws the probability of this label, as the paper's figure does; None draws the best label of each pixel.
        iterations: numbers of iterations to draw; the last is drawn over the image, too.
        options: of `keras_vision.ops.dense_crf`.

    Returns:
        A matplotlib figure of one row; `.savefig("crf.png")` writes it.

    Raises:
        KerasVisionError: shapes do not fit, or there is no such label.
    """
    from matplotlib.figure import Figure

    logits, image = np.asarray(logits, np.float32), np.asarray(image)
    if logits.ndim != 3 or image.shape != (*logits.shape[:2], 3):
        raise KerasVisionError(
            f"crf_iterations takes logits (h, w, labels) and an image (h, w, 3); given: {logits.shape}, {image.shape}."
        )
    labels = logits.shape[-1]
    if label is not None and not 0 <= label < labels:
        raise KerasVisionError(f"label must be from 0 to {labels - 1}, or None for the best; given: {label}.")
    steps = [np.asarray(dense_crf(logits[None], image[None], iterations=n, **options)[0]) for n in (0, *iterations)]
    pictures = [("image", image), *_pictures(steps, iterations, label)]
    best = voc_palette(labels)[steps[-1].argmax(-1)]
    pictures.append(("result", (0.45 * image + 0.55 * best).astype(np.uint8)))
    figure = Figure(figsize=(2.4 * len(pictures), 2.4 * image.shape[0] / image.shape[1] + 0.4), layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(1, len(pictures)), pictures, strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return figure


def _pictures(steps: list[np.ndarray], iterations: Sequence[int], label: int | None) -> list[tuple[str, np.ndarray]]:
    names = ["network", *(f"iteration {n}" for n in iterations)]
    if label is not None:
        return [(name, step[..., label]) for name, step in zip(names, steps, strict=True)]
    return [(name, voc_palette(step.shape[-1])[step.argmax(-1)]) for name, step in zip(names, steps, strict=True)]

"""Classes of pixels drawn over the photograph."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from keras_vision.data.palettes import checked_labels, checked_palette
from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import open_image


def overlay(image: Any, labels: Any, palette: Any, alpha: float = 0.5, void: int | None = None) -> Image.Image:
    """The image with each pixel's class colour over it.

    Args:
        image: a path, encoded bytes, a Pillow image, or uint8 pixels `(h, w)` or `(h, w, 3)`.
        labels: class of each pixel, integers `(h, w)`.
        palette: colour of each label, `(k, 3)`, 0-255, such as `data.voc_palette()`.
        alpha: share of the colour, from 0 (only the image) to 1 (only colours).
        void: label whose pixels stay as they are; None draws all.

    Returns:
        A Pillow image, RGB, of the image's size.

    Raises:
        KerasVisionError: sizes differ, an alpha out of range, labels without a colour, or no palette `(k, 3)`.
        ImageError: the image cannot be decoded.
    """
    if not 0 <= alpha <= 1:
        raise KerasVisionError(f"alpha={alpha}; give a share from 0 to 1.")
    pixels = np.asarray(open_image(image).convert("RGB"), np.float32)
    colours = checked_palette(palette)
    drawn = checked_labels(
        np.where(np.asarray(labels) == void, 0, labels) if void is not None else labels, len(colours)
    )
    if drawn.shape != pixels.shape[:2]:
        raise KerasVisionError(f"labels {drawn.shape} for an image of {pixels.shape[:2]} (height, width).")
    mixed = (1 - alpha) * pixels + alpha * colours[drawn]
    if void is not None:
        mixed = np.where((np.asarray(labels) == void)[..., None], pixels, mixed)
    return Image.fromarray(np.rint(mixed).astype(np.uint8))

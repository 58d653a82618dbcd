"""Gradients and heat maps as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import open_image

_PERCENTILE = 99.5  # of the absolute gradient: what is beyond is shown as the brightest


def gradient_picture(gradient: Any) -> Image.Image:
    """A gradient `(h, w, 1 or 3)`, such as of `saliency`, as an RGB picture: grey is 0, lighter above, darker below.

    Raises:
        KerasVisionError: another shape, or values that are not finite.
    """
    values = np.asarray(gradient, np.float64)
    if values.ndim != 3 or values.shape[2] not in (1, 3) or not np.isfinite(values).all():
        raise KerasVisionError(f"a gradient of shape {values.shape}; give finite values (h, w, 1) or (h, w, 3).")
    largest = np.percentile(np.abs(values), _PERCENTILE) or np.abs(values).max() or 1.0
    pixels = np.clip(127.5 + 127.5 * values / largest, 0, 255)
    return Image.fromarray(np.rint(np.broadcast_to(pixels, (*values.shape[:2], 3))).astype(np.uint8))


def heat_picture(image: Any, heat: Any, alpha: float = 0.5) -> Image.Image:
    """A heat map `(h', w')`, such as of `grad_cam`, in colours from blue (least) to red (most) over its image.

    Args:
        image: a path, encoded bytes, a Pillow image, or uint8 pixels `(h, w)` or `(h, w, 3)`.
        heat: finite values of any range and size; resized bilinearly.
        alpha: share of the colours, from 0 to 1.

    Returns:
        RGB, of the image's size.

    Raises:
        KerasVisionError: a heat map of another shape or not finite, or an alpha out of range.
        ImageError: the image cannot be decoded.
    """
    values = np.asarray(heat, np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise KerasVisionError(f"a heat map of shape {values.shape}; give finite values (h, w).")
    if not 0 <= alpha <= 1:
        raise KerasVisionError(f"alpha={alpha}; give a share from 0 to 1.")
    from matplotlib import colormaps

    photograph = open_image(image).convert("RGB")
    share = (values - values.min()) / (np.ptp(values) or 1.0)
    resized = Image.fromarray(share.astype(np.float32)).resize(photograph.size, Image.Resampling.BILINEAR)
    colours = 255 * colormaps["jet"](np.asarray(resized))[..., :3]
    mixed = (1 - alpha) * np.asarray(photograph, np.float64) + alpha * colours
    return Image.fromarray(np.rint(mixed).astype(np.uint8))

"""Gradients, heat maps and what occlusion finds as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.images import open_image

_PERCENTILE = 99.5  # of the absolute gradient: what is beyond is shown as the brightest


def gradient_picture(gradient: Any) -> Image.Image:
    """A gradient `(h, w, 1 or 3)`, such as of `saliency`, as an RGB picture: grey is 0, lighter above, darker below.

    Channels are drawn as R, G and B: of a network that takes BGR, give them in reverse.

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
        heat: finite values of any range and size; resized bilinearly. For those of `occlusion`, which are low where
            the evidence is, there is `occlusion_picture`.
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


def occlusion_picture(
    image: Any, outputs: Any, *, window: int = 32, stride: int = 16, alpha: float = 0.5
) -> Image.Image:
    """What `occlusion` finds for an image, in colours over it: red where hiding lowers the output most.

    Each value stands at the centre of its square; between centres it is interpolated bilinearly, and beyond the
    outermost ones, where no square is centred, it is the nearest one's.

    Args:
        image: what the network saw, of its size, such as `model.preprocessing.pixels(photograph)`: as `heat_picture`.
        outputs: `(rows, columns)`, of `occlusion` for this image.
        window, stride: those of `occlusion`, in pixels.
        alpha: share of the colours, from 0 to 1.

    Returns:
        RGB, of the image's size.

    Raises:
        KerasVisionError: outputs that are not finite, or not as many as an image of this size has for such squares; or
            an alpha out of range.
        ImageError: the image cannot be decoded.
    """
    values, photograph = np.asarray(outputs, np.float64), open_image(image)
    size = photograph.height, photograph.width
    expected = tuple(len(range(0, side - window + 1, stride)) for side in size) if min(window, stride) > 0 else None
    if values.shape != expected or not values.size or not np.isfinite(values).all():
        raise KerasVisionError(
            f"outputs of shape {values.shape}, an image of {size} (height, width), window={window}, stride={stride}: "
            f"give the image as the network saw it, and of `occlusion` window, stride and finite outputs {expected}."
        )
    places = np.meshgrid(*((np.arange(side) + 0.5 - window / 2) / stride for side in size), indexing="ij")
    return heat_picture(photograph, -ndimage.map_coordinates(values, places, order=1, mode="nearest"), alpha)

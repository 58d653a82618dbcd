"""Pictures with several labels each, composed from scikit-learn's digits: data for multi-label classifiers anywhere."""

from __future__ import annotations

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from keras_vision.data.annotated_images import MultiLabelImages
from keras_vision.data.listings import one_of
from keras_vision.errors import KerasVisionError

GROUNDS = ("dark", "light", "striped", "noisy")
_TRAINING = 1200  # of the 1,797 digits; the test part is drawn from the others
_EMPTY = 0.35  # share of places without a digit


def digit_collages(images: int, part: str = "train", size: int = 48, seed: int = 0) -> MultiLabelImages:
    """Collages of one to four handwritten digits on one of four grounds, `(size, size, 3)` uint8.

    The labels are the digits in the picture, "0" to "9", any of which may be there more than once, and the ground,
    "dark", "light", "striped" or "noisy", of which a picture has exactly one, as a satellite image has one weather.

    Args:
        images: how many.
        part: "train" or "test": no handwritten digit is in both.
        size: side in pixels, at least 16.
        seed: the same seed gives the same pictures.

    Raises:
        KerasVisionError: another part, no images, or a size below 16.
    """
    one_of("part", part, ("train", "test"))
    if images < 1 or size < 16:
        raise KerasVisionError(f"images={images}, size={size}; give at least one image, of at least 16 pixels.")
    data, rng = load_digits(), np.random.default_rng([seed, part == "test"])
    chosen = slice(None, _TRAINING) if part == "train" else slice(_TRAINING, None)
    digits, classes = data.images[chosen], data.target[chosen]
    labels = np.zeros((images, 10 + len(GROUNDS)), np.uint8)
    sources = []
    for row in labels:
        ground, picked = rng.integers(len(GROUNDS)), _picked(rng, len(digits))
        row[classes[picked[picked >= 0]]] = row[10 + ground] = 1
        ink = _ink([None if i < 0 else digits[i] for i in picked], size, rng)
        sources.append(_painted(_ground(GROUNDS[ground], size, rng), ink))
    return MultiLabelImages(sources, labels, (*map(str, range(10)), *GROUNDS))


def _picked(rng: np.random.Generator, digits: int) -> np.ndarray:
    """Which digit is in each of the four places; -1 for none, but not in all of them."""
    picked = np.where(rng.random(4) < _EMPTY, -1, rng.integers(digits, size=4))
    return picked if (picked >= 0).any() else np.array([rng.integers(digits), -1, -1, -1])


def _ink(digits: list[np.ndarray | None], size: int, rng: np.random.Generator) -> np.ndarray:
    """Share of ink of each pixel, `(size, size)`, with each digit somewhere in its quarter."""
    ink, cell = np.zeros((size, size)), size // 2
    for place, digit in enumerate(digits):
        if digit is None:
            continue
        side = int(rng.integers(round(0.75 * cell), cell + 1))
        drawn = np.asarray(Image.fromarray((digit / 16).astype(np.float32)).resize((side, side)))
        top, left = rng.integers(cell - side + 1, size=2) + np.array(divmod(place, 2)) * cell
        ink[top : top + side, left : left + side] = np.clip(drawn, 0, 1)
    return ink


def _ground(name: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Grey levels `(size, size)`, at most 160, so that white ink stands out."""
    if name == "noisy":
        return rng.uniform(0, 160, (size, size))
    if name == "striped":
        period = rng.integers(4, 9)
        return np.broadcast_to(np.where(np.arange(size) % period < period / 2, 140.0, 30.0), (size, size))
    return np.full((size, size), rng.uniform(0, 60) if name == "dark" else rng.uniform(110, 160))


def _painted(ground: np.ndarray, ink: np.ndarray) -> np.ndarray:
    grey = np.round(ground * (1 - ink) + 255 * ink).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)

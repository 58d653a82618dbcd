"""A few images to vectors, in one thread: read, look into the cache, decode, run, keep."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vision.analytics.cache import Cache
from keras_vision.analytics.runners import Runner
from keras_vision.errors import ImageError
from keras_vision.runtime.images import open_image


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    path: str
    reason: str


def embed_images(
    paths: Sequence[str], runner: Runner, cache: Cache
) -> tuple[list[str], np.ndarray, list[bytes], list[Skipped]]:
    """Paths, vectors `(n, d)` and SHA-256 of the images that can be read; the others.

    Of each image only the network's input is held, and the file while it is decoded.
    """
    kept: list[str] = []
    keys: list[bytes] = []
    skipped: list[Skipped] = []
    vectors: dict[bytes, np.ndarray] = {}
    pixels: dict[bytes, np.ndarray] = {}
    for path in paths:
        try:
            encoded = Path(path).read_bytes()
            key = hashlib.sha256(encoded).digest()
            if key not in pixels and key not in vectors:
                known = cache.get(key, runner.size)
                if known is None:
                    pixels[key] = runner.preprocessing.pixels(open_image(encoded))
                else:
                    vectors[key] = known
        except ImageError as error:
            skipped.append(Skipped(path, error.reason))
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            skipped.append(Skipped(path, (getattr(error, "strerror", None) or str(error)).lower()))
        else:
            kept.append(path)
            keys.append(key)
    if pixels:
        new = dict(zip(pixels, runner(np.stack(list(pixels.values()))), strict=True))
        cache.put(new)
        vectors |= new
    rows = np.stack([vectors[key] for key in keys]) if keys else np.zeros((0, runner.size), np.float32)
    return kept, rows, keys, skipped

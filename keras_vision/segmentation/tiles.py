"""Maps of images too large for one call of a network, by a Keras model or any function."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.tiles import Predict, predict_tiles


def predict_tiled(
    predict: Predict | keras.Model,
    image: Any,
    *,
    tile: int | tuple[int, int] = 512,
    overlap: int | None = None,
    margin: int | None = None,
    align: int = 32,
    batch_size: int = 1,
) -> np.ndarray:
    """One map of a whole image, `(h, w, k)` float32, from predictions of its tiles.

    Tiles cover the image in a grid and overlap by `overlap` pixels or more. Of a side where a tile meets another, the
    `margin` outermost pixels do not count, since the network saw padding there; over the rest of the overlap a raised
    cosine leads from one tile to the next, so that no step is left. The weights of all tiles sum to 1 at each pixel.
    Where `margin` reaches as far as the network sees from a pixel, and `align` is a multiple of its stride, the result
    is that of the whole image, to rounding. An image that fits into one tile is predicted as it is.

    What is blended is what the network gives: of classes, logits or probabilities, not their numbers. Besides one batch
    of tiles, memory holds the map and nothing of its size.

    Args:
        predict: `(n, h, w, c) -> (n, h, w, k)` for any h and w up to `tile`, or a `keras.Model` of one output. A model
            of fixed size sets `tile`; smaller images are continued with their edge pixels for it.
        image: prepared as the network takes it, `(h, w, c)`, or `(h, w)` for one channel.
        tile: height and width of a tile, in pixels; one number for both.
        overlap: of neighbours, in pixels, at least; a quarter of the tile's shorter side by default.
        margin: outermost pixels that do not count, at most half the overlap; a quarter of it by default.
        align: tiles begin at multiples of this; the network's stride, such as 32, keeps its cells where they are in
            the whole image, if its padding at the upper and left edge does not depend on the size. The tiles of the
            last row and column may be smaller than `tile`.
        batch_size: tiles of equal size in one call.

    Raises:
        KerasVisionError: an image of another rank or without pixels, numbers that do not fit together, or predictions
            of another size than the tiles.
    """
    options: dict[str, Any] = dict(overlap=overlap, margin=margin, align=align, batch_size=batch_size)
    if not isinstance(predict, keras.Model):
        return predict_tiles(predict, image, tile=tile, **options)
    if len(predict.outputs) != 1:
        raise KerasVisionError(f"{predict.name} has {len(predict.outputs)} outputs; give a model of one of them.")
    height, width = keras.tree.flatten(predict.inputs)[0].shape[1:3]
    if None not in (height, width):
        options["whole_tiles"], tile = True, (height, width)
    return predict_tiles(
        lambda tiles: keras.tree.flatten(predict.predict_on_batch(tiles))[0], image, tile=tile, **options
    )

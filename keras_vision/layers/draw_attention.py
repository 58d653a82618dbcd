"""DRAW's reading and writing, each through a window of its own or of the whole image, as layers of a recurrent cell.

Source: Gregor et al. (2015), sections 3.1 and 3.2. Thin: the computation is `keras_vision.ops.draw_attention`'s.
"""

import math
from typing import Any

import keras
from keras import layers, ops

from keras_vision.errors import KerasVisionError
from keras_vision.ops import draw_attention


@keras.saving.register_keras_serializable("keras_vision")
class ReadAttention(layers.Layer):
    """Looks at images through a grid of N x N Gaussian filters that a state places.

    Call with images `(n, B, A, c)`, in any unit, and a state `(n, h)`; the result is `(n, N * N * c)`. Filters and
    products are float32 under any dtype policy, as is the map from the state to the window: at the 54th pixel, float16
    knows places in steps of 0.03.

    Args:
        patch: N, at least 2 and at most the image's shorter side.
        spread: standard deviation of an untrained layer's filters for a state of zeros, in distances between filters;
            None for one pixel, whatever their distance.
        gain: factor of the map from the state; below 1, a training step of Adam moves windows by less.

    Raises:
        KerasVisionError: a patch of one filter, or larger than the image; a spread or gain that is not above 0.

    Source: Equations 21 to 27.
    """

    def __init__(self, patch: int, spread: float | None = None, gain: float = 1.0, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if spread is not None and not (math.isfinite(spread) and spread > 0):
            raise KerasVisionError(f"spread={spread}; give a finite number above 0, or None.")
        if not (math.isfinite(gain) and gain > 0):
            raise KerasVisionError(f"gain={gain}; give a finite number above 0.")
        self.patch, self.spread, self.gain = patch, spread, gain
        self.placed = layers.Dense(draw_attention.PARAMETERS, name="window", dtype="float32")

    def build(self, images_shape: tuple, state_shape: tuple) -> None:
        self.size = (images_shape[1], images_shape[2])
        draw_attention.check_patch(self.patch, self.size)
        deviation = 1.0 if self.spread is None else self.spread * (max(self.size) - 1) / (self.patch - 1)
        self.start = (0.0, 0.0, 2 * math.log(deviation), 0.0, 0.0)  # as `draw_attention.window` takes them
        self.placed.build(state_shape)

    def window(self, state: Any) -> draw_attention.Window:
        """Where a state `(n, h)` looks."""
        return draw_attention.window(self.gain * self.placed(state) + ops.array(self.start), self.size, self.patch)

    def call(self, images: Any, state: Any) -> Any:
        seen = self.window(state)
        glimpse = draw_attention.read(images, *draw_attention.banks(seen, self.patch, self.size), seen.intensity)
        return ops.reshape(glimpse, (-1, self.patch * self.patch * images.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patch": self.patch, "spread": self.spread, "gain": self.gain}


@keras.saving.register_keras_serializable("keras_vision")
class WriteAttention(layers.Layer):
    """Lays an N x N patch onto an empty image through a grid of Gaussian filters; a state gives patch and window.

    Call with a state `(n, h)`; the result is `(n, B, A, c)`. Window, filters and products are float32, as in
    `ReadAttention`; the map to the patch has the layer's policy.

    Args:
        patch: N, at least 2 and at most the image's shorter side.
        image_shape: B, A and c.

    Raises:
        KerasVisionError: a patch of one filter, or larger than the image.

    Source: Equations 28 and 29.
    """

    def __init__(self, patch: int, image_shape: tuple[int, int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.patch, self.image_shape = patch, (image_shape[0], image_shape[1], image_shape[2])
        self.size = (image_shape[0], image_shape[1])
        draw_attention.check_patch(patch, self.size)
        self.placed = layers.Dense(draw_attention.PARAMETERS, name="window", dtype="float32")
        self.drawn = layers.Dense(patch * patch * self.image_shape[2], name="patch", dtype=self.dtype_policy)

    def build(self, state_shape: tuple) -> None:
        self.placed.build(state_shape)
        self.drawn.build(state_shape)

    def window(self, state: Any) -> draw_attention.Window:
        """Where a state `(n, h)` writes."""
        return draw_attention.window(self.placed(state), self.size, self.patch)

    def call(self, state: Any) -> Any:
        where = self.window(state)
        patches = ops.cast(self.drawn(state), "float32")
        patches = ops.reshape(patches, (-1, self.patch, self.patch, self.image_shape[2]))
        return draw_attention.write(patches, *draw_attention.banks(where, self.patch, self.size), where.intensity)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "patch": self.patch, "image_shape": self.image_shape}


@keras.saving.register_keras_serializable("keras_vision")
class ReadWhole(layers.Layer):
    """Reading without attention: images `(n, B, A, c)` and a state, which is not used, to `(n, B * A * c)`.

    Source: Equation 17.
    """

    def build(self, images_shape: tuple, state_shape: tuple) -> None:
        """There are no weights."""

    def call(self, images: Any, state: Any) -> Any:
        height, width, channels = images.shape[1:]
        return ops.reshape(images, (-1, height * width * channels))


@keras.saving.register_keras_serializable("keras_vision")
class WriteWhole(layers.Layer):
    """Writing without attention: a linear map from a state `(n, h)` to each pixel, `(n, B, A, c)`.

    Args:
        image_shape: B, A and c.

    Source: Equation 18.
    """

    def __init__(self, image_shape: tuple[int, int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.image_shape = height, width, channels = tuple(image_shape)
        self.drawn = layers.Dense(height * width * channels, name="patch", dtype=self.dtype_policy)

    def build(self, state_shape: tuple) -> None:
        self.drawn.build(state_shape)

    def call(self, state: Any) -> Any:
        return ops.reshape(ops.cast(self.drawn(state), "float32"), (-1, *self.image_shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "image_shape": self.image_shape}

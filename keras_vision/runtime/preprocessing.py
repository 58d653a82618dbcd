"""One description of how a photograph becomes a network's input, used by training, export and runtime alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from keras_vision.errors import KerasVisionError

COLORS = {"RGB": 3, "BGR": 3, "L": 1, "raw": None}  # to the number of channels


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Resize, centre crop and normalise: ``(pixel - mean) / std`` on pixels in 0–255.

    Attributes:
        size: height and width of the network's input, in pixels.
        resize_shorter: length the shorter side is resized to before the centre crop of `size`, in pixels, with
            the aspect ratio kept; None squashes the whole image to `size`.
        color: channel order the network expects: "RGB", "BGR", "L" (grey), or "raw" for any other channels, which
            come as arrays and not from image files.
        mean: subtracted from each channel, in the order of `color`, on the scale 0–255.
        std: divides each channel after the subtraction, same order and scale.
    """

    size: tuple[int, int]
    resize_shorter: int | None
    color: str = "RGB"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.color not in COLORS:
            raise KerasVisionError(f"color={self.color!r}; accepted: {', '.join(COLORS)}.")
        if not len(self.mean) == len(self.std) == self.channels:
            raise KerasVisionError(
                f"mean={self.mean} and std={self.std} need {self.channels} values each for color={self.color!r}."
            )
        if min(self.size) < 1 or not all(self.std):
            raise KerasVisionError(f"size={self.size} and std={self.std} must be positive.")
        if self.resize_shorter is not None and self.resize_shorter < max(self.size):
            raise KerasVisionError(
                f"resize_shorter={self.resize_shorter} leaves no room for a crop of {self.size}; "
                f"give at least {max(self.size)}, or None to squash."
            )

    @property
    def channels(self) -> int:
        """Number of input channels."""
        return COLORS[self.color] or len(self.mean)

    def for_input(self, height: int, width: int, channels: int) -> Preprocessing:
        """The same protocol for another input size (the crop's share of the image is kept) or number of channels.

        Grey input is normalised with the average of the channels' means and deviations; any other number of channels
        with the three taken again and again.
        """
        shorter = self.resize_shorter
        if shorter is not None:
            shorter = max(round(shorter * min(height, width) / min(self.size)), height, width)
        spec = dataclasses.replace(self, size=(height, width), resize_shorter=shorter)
        if channels == 1 and self.channels == 3:
            mean, std = (float(np.mean(self.mean)),), (float(np.mean(self.std)),)
            spec = dataclasses.replace(spec, color="L", mean=mean, std=std)
        elif channels != self.channels:
            mean, std = (tuple(np.resize(values, channels).tolist()) for values in (self.mean, self.std))
            spec = dataclasses.replace(spec, color="raw", mean=mean, std=std)
        return spec

    def without_normalization(self) -> Preprocessing:
        """What is left to do for a model that normalises inside its graph: resize and crop, RGB (or grey) 0–255."""
        color = "RGB" if self.color == "BGR" else self.color
        zeros, ones = (0.0,) * self.channels, (1.0,) * self.channels
        return dataclasses.replace(self, color=color, mean=zeros, std=ones)

    def source_box(self, height: int, width: int) -> tuple[float, float, float, float]:
        """The part of a `height` x `width` image that is resized to `size`: (left, top, right, bottom), in pixels.

        Equals resizing the shorter side and then cropping (offsets rounded down), without ever holding the
        resized image, which for a 1 x 100,000 strip would not fit in memory.
        """
        if self.resize_shorter is None:
            return 0.0, 0.0, float(width), float(height)
        resized_h, resized_w = resized_size(height, width, self.resize_shorter)
        top, left = (resized_h - self.size[0]) // 2, (resized_w - self.size[1]) // 2
        scale_y, scale_x = height / resized_h, width / resized_w
        return left * scale_x, top * scale_y, (left + self.size[1]) * scale_x, (top + self.size[0]) * scale_y

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Resized and cropped pixels, uint8 RGB or grey, `(h, w, channels)`. Pillow's antialiased bilinear filter.

        Raises:
            KerasVisionError: the network takes "raw" channels, or this is no image of Pillow's.
        """
        if self.color == "raw":
            raise KerasVisionError(f"the model takes {self.channels} channels, which no image file has; use `run`.")
        if not isinstance(image, Image.Image):
            raise KerasVisionError(
                f"{type(image).__name__} is no Pillow image; `keras_vision.runtime.open_image` reads a file, "
                "`PIL.Image.fromarray` takes an array (uint8, RGB or grey)."
            )
        image = image.convert("L" if self.color == "L" else "RGB")
        box = self.source_box(image.height, image.width)
        resized = image.resize((self.size[1], self.size[0]), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized).reshape(*self.size, self.channels)

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """RGB or grey pixels `(..., channels)` in 0–255 to the network's float32 input."""
        ordered = pixels[..., ::-1] if self.color == "BGR" else pixels
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return (ordered.astype(np.float32) - mean) / std

    def __call__(self, image: Image.Image) -> np.ndarray:
        """A decoded image to the network's float32 input `(h, w, channels)`."""
        return self.normalize(self.pixels(image))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`."""
        tuples = {key: tuple(value) for key, value in values.items() if isinstance(value, (list, tuple))}
        try:
            return cls(**{**values, **tuples})
        except (TypeError, AttributeError) as error:
            raise KerasVisionError(f"not a preprocessing description: {dict(values)} ({error}).") from error


def resized_size(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width of an image after its shorter side is resized to `shorter`, the aspect ratio kept."""
    scale = shorter / min(height, width)
    return max(round(height * scale), 1), max(round(width * scale), 1)

"""What a recipe of a classifier of cluttered digits says."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from keras_vision.errors import KerasVisionError
from keras_vision.training.recipes.settings import Settings

ARMS = ("GlimpseClassifier", "RAM", "ConvolutionalBaseline")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlimpseRecipe(Settings):
    """All settings of one training run on cluttered translated digits, which are made anew for each batch.

    Attributes:
        minutes: of training steps, after which it ends; the rate falls to 0 over them. None: after the epochs.
        size: side of the images, in pixels.
        pieces, side: of clutter, and the side of a piece in pixels.
        held_out: images that each epoch ends with.
        test_images: images of test digits that are measured at the end.
        jit_compile: whether XLA compiles the steps.

    Raises:
        KerasVisionError: settings that make no sense, or do not go together.
    """

    minutes: float | None = None
    size: int = 100
    pieces: int = 8
    side: int = 9
    held_out: int = 2000
    test_images: int = 10_000
    jit_compile: bool = False

    _CHOICES: ClassVar = {**Settings._CHOICES, "model": ARMS}
    _ABOVE_0: ClassVar = (*Settings._ABOVE_0, "minutes")
    _FROM_1: ClassVar = (*Settings._FROM_1, "size", "pieces", "side", "held_out", "test_images")

    def _check_together(self) -> None:
        super()._check_together()
        if self.schedule == "plateau" or (self.minutes is not None and self.schedule != "constant"):
            raise KerasVisionError(
                f"schedule={self.schedule!r} with minutes={self.minutes}; with minutes the rate falls over them, and "
                "the schedule is 'constant'; 'plateau' is not for this kind of recipe."
            )

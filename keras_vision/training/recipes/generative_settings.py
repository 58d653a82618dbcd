"""What a recipe of DRAW says."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from keras_vision.errors import KerasVisionError
from keras_vision.training.recipes.settings import Settings

IMAGES = ("binarized_mnist", "two_digits", "svhn", "cifar10")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerativeRecipe(Settings):
    """All settings of one training run of a network that draws.

    Attributes:
        images: one of `IMAGES`: what is drawn.
        minutes: of training steps, after which it ends, in the epoch that it is in; the rate falls to 0 over them as a
            cosine does. None: after the epochs.
        held_out: validation images that each epoch ends with; a random choice of them.
        samples: images that a sheet of samples has.
        samples_every: epochs between sheets.
        importance_samples: of the codes of each image, for the estimate at the end, of `importance_images` test images.
        jit_compile: whether XLA compiles the steps.

    Raises:
        KerasVisionError: settings that make no sense, or do not go together.
    """

    images: str
    minutes: float | None = None
    held_out: int = 2000
    samples: int = 64
    samples_every: int = 5
    importance_samples: int = 50
    importance_images: int = 1000
    jit_compile: bool = False

    _CHOICES: ClassVar = {**Settings._CHOICES, "images": IMAGES}
    _ABOVE_0: ClassVar = (*Settings._ABOVE_0, "minutes")
    _FROM_1: ClassVar = (
        *Settings._FROM_1, "held_out", "samples", "samples_every", "importance_samples", "importance_images",
    )  # fmt: skip

    def _check_together(self) -> None:
        super()._check_together()
        if self.model != "DRAW":
            raise KerasVisionError(f"model={self.model!r}; a recipe of this kind trains DRAW.")
        if self.schedule == "plateau" or (self.minutes is not None and self.schedule != "constant"):
            raise KerasVisionError(
                f"schedule={self.schedule!r} with minutes={self.minutes}; with minutes the rate falls over "
                "them, and the schedule is 'constant'; 'plateau' is for classifiers."
            )

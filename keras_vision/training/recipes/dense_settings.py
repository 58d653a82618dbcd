"""What a recipe of a network with an output for each pixel says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from keras_vision.errors import KerasVisionError
from keras_vision.training.recipes.settings import Settings

TASKS = ("segmentation", "edges")
WINDOWS = ("none", "fcn", "segmentation")
BALANCES = ("none", "median")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenseRecipe(Settings):
    """All settings of one training run of a segmentation or edge network.

    Attributes:
        task: one of `TASKS`.
        crop: height and width of what a step shows of each training image, in pixels; evaluation shows whole images.
        augment: one of `WINDOWS`, names in `keras_vision.data.augment`, with `augment_settings` as its keywords. "none"
            squashes images that have another size than `crop`.
        start: weights of the backbone to start from: a path, or a name of its card; None for random ones.
        stage: name of the recipe that is trained before; this one starts from its layers of the same names.
        loss_settings: keywords of `PixelCrossentropy`, or of `BalancedEdgeLoss`.
        class_weights: "median" weighs classes by median frequency, "none" all alike.
        validate_every: epochs between measurements on whole validation images; the last epoch is always measured.

    Raises:
        KerasVisionError: settings that make no sense, or do not go together.
    """

    task: str
    crop: tuple[int, int]
    augment: str = "none"
    augment_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    start: str | None = None
    stage: str | None = None
    loss_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    class_weights: str = "none"
    validate_every: int = 1

    _CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Settings._CHOICES, "task": TASKS, "augment": WINDOWS, "class_weights": BALANCES,
    }  # fmt: skip
    _FROM_1: ClassVar[tuple[str, ...]] = (*Settings._FROM_1, "validate_every")

    def _check_numbers(self) -> None:
        super()._check_numbers()
        if len(self.crop) != 2 or min(self.crop) < 1:
            raise KerasVisionError(f"crop={self.crop}; give height and width, in pixels.")

    def _check_together(self) -> None:
        super()._check_together()
        if self.schedule == "plateau":
            raise KerasVisionError("schedule='plateau' is for classifiers; give another.")
        if self.class_weights != "none" and self.task != "segmentation":
            raise KerasVisionError(
                f"class_weights={self.class_weights!r} with task={self.task!r}, which has no classes."
            )

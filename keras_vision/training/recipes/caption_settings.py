"""What a recipe of captions says."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from keras_vision.errors import KerasVisionError
from keras_vision.training.recipes.settings import Settings

LISTINGS = ("flickr8k", "flickr30k", "coco", "folder")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionRecipe(Settings):
    """All settings of one training run of Show, Attend and Tell.

    The decoder learns first, for `epochs`, on annotation vectors that are computed once; then, for `tuned_epochs`,
    decoder and encoder together, every layer of them.

    Attributes:
        listing: one of `LISTINGS`: whose `dataset_*.json` gives the splits; "folder" is photographs with a file of
            captions, of which `held_out`, chosen by `split_seed`, validate and test alike.
        held_out, split_seed: see there.
        encoder, tap: the classifier, and its feature map.
        start: weights of the encoder: a path, or a name of its card.
        size: side of the images, in pixels.
        vocabulary: words at most; `least` is how often one has to occur.
        longest: words of a caption at most; longer ones are left out of training.
        bucketed: batches of captions of one length; else any, filled up to the longest.
        penalty, reinforce, entropy: of `captioning.Objective`.
        beam: of the captions that are scored at the end; while it trains they are greedy.
        tuned_epochs, tuned_rate, tuned_batch: of encoder and decoder together, with Adam and one caption of each image
            in an epoch.
        patience: epochs without a better BLEU-4 after which each part ends.

    Raises:
        KerasVisionError: settings that make no sense, or do not go together.
    """

    listing: str
    held_out: int = 100
    split_seed: int = 0
    encoder: str = "VGG19"
    tap: str = "conv5_4"
    start: str | None = "imagenet"
    size: int = 224
    vocabulary: int = 10_000
    least: int = 1
    longest: int = 50
    bucketed: bool = True
    penalty: float = 1.0
    reinforce: float = 1.0
    entropy: float = 0.002
    beam: int = 1
    tuned_epochs: int = 0
    tuned_rate: float = 1e-5
    tuned_batch: int = 16

    _CHOICES: ClassVar = {**Settings._CHOICES, "listing": LISTINGS}
    _ABOVE_0: ClassVar = (*Settings._ABOVE_0, "tuned_rate")
    _FROM_1: ClassVar = (
        *Settings._FROM_1, "held_out", "size", "vocabulary", "least", "longest", "beam", "tuned_batch",
    )  # fmt: skip
    _FROM_0: ClassVar = (*Settings._FROM_0, "split_seed", "penalty", "reinforce", "entropy", "tuned_epochs")

    def _check_together(self) -> None:
        super()._check_together()
        if self.model != "ShowAttendTell" or self.schedule == "plateau" or self.accumulation != 1:
            raise KerasVisionError(
                f"model={self.model!r}, schedule={self.schedule!r}, accumulation={self.accumulation}; a recipe of this "
                "kind trains ShowAttendTell, with any schedule but 'plateau', a batch at a time."
            )
        if self.precision != "float32":
            raise KerasVisionError(f"precision={self.precision!r}; the decoder is float32 under any: leave it.")

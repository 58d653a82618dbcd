"""The epoch of the best captions: selection and early stopping by BLEU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_vision.evaluation.captions import corpus_bleu
from keras_vision.training.best_epoch import BestEpoch


class BestBleu(BestEpoch):
    """Keeps the weights of the epoch of the highest BLEU-4, and ends training when it does not rise any more.

    Adds "val_bleu1" to "val_bleu4" to the metrics of each epoch.

    Args:
        folder: as of `BestEpoch`.
        say: gives a caption for each validation image, as words.
        references: of each of them its captions by people, as words.
        patience: epochs without a better one after which training ends.

    Source: Xu et al. (2015), section 4.3.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[], Sequence[Sequence[str]]],
        references: Sequence[Sequence[Sequence[str]]],
        patience: int,
    ):
        super().__init__(folder)
        self.say, self.references, self.patience = say, references, patience

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        found, _ = corpus_bleu(self.references, self.say())
        logs = {} if logs is None else logs  # what comes after sees the scores, too
        logs.update({f"val_bleu{n}": score for n, score in enumerate(found, 1)})
        # Where no four words are right, BLEU-1 decides.
        super().on_epoch_end(epoch, {"val_accuracy": found[3] + 1e-6 * found[0], "val_loss": 0.0})
        if epoch + 1 - self.epoch >= self.patience:
            self.model.stop_training = True

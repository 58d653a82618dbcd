"""From labelled images to an exported classifier: head first, then all layers; resumable; ends with a report."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_vision.applications import create_model
from keras_vision.data import LabelledImages, Pipeline
from keras_vision.data.augment import AreaCrop, Augmentation, cifar, inception
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel
from keras_vision.registry import find
from keras_vision.training.best_epoch import BestEpoch
from keras_vision.training.board import board
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.loop import train
from keras_vision.training.optimisation import warmed_up_cosine
from keras_vision.training.outcome import REPORT, Outcome, finish
from keras_vision.training.run_folder import BOARD, HISTORY, claim
from keras_vision.training.strategy import is_chief
from keras_vision.training.synchronized import synchronized

TEST_FRACTION, VALIDATION_FRACTION = 0.2, 0.125  # the second of what the first leaves: 70 / 10 / 20 %
AUGMENTATIONS: Mapping[str, Augmentation | None] = {
    "none": None,
    "crop": Augmentation(AreaCrop((0.8, 1.0), (0.9, 1 / 0.9), mirror=0.0)),  # keeps the class of any picture
    "cifar": cifar(),
    "inception": inception(),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """The settings of one training run; the same settings and data resume an interrupted one.

    Attributes:
        model: name of the model.
        data: what the images were read from.
        weights: starting point: None (random), a path, or a name of the model card.
        epochs: epochs in all.
        head_epochs: of these, epochs in which only the classifier trains.
        size: side of the square input, in pixels.
        batch_size: images per step.
        learning_rate: peak rate of Adam for the epochs in which all layers train; None for 5e-4 from random weights,
            1e-4 from trained ones. The classifier alone trains at 1e-3.
        augment: of `AUGMENTATIONS`: "crop", a part of 80 to 100 % of the area, which keeps the class of any picture,
            digits too; "cifar" and "inception" as in `kv.data.augment`, which mirror; or "none".
        sync_batch_norm: take the statistics of batch norm over all replicas.
        seed: of the split, the shuffling, the augmentation and the random weights.
    """

    model: str
    data: str
    weights: str | None
    epochs: int
    head_epochs: int
    size: int
    batch_size: int = 32
    learning_rate: float | None = None
    augment: str = "crop"
    sync_batch_norm: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 <= self.head_epochs <= self.epochs or self.batch_size < 1:
            raise KerasVisionError(
                f"epochs={self.epochs}, head_epochs={self.head_epochs}, batch_size={self.batch_size}; "
                "give at least one epoch, no more head epochs than epochs, and a batch of at least one."
            )
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise KerasVisionError(f"learning_rate={self.learning_rate}; give a number above 0, such as 1e-4.")
        if self.augment not in AUGMENTATIONS:
            raise KerasVisionError(f"augment={self.augment!r}; accepted: {', '.join(AUGMENTATIONS)}.")


def fine_tune(
    run: Run, images: LabelledImages, out: Path, callbacks: Sequence[Any] = (), overwrite: bool = False, *,
    strategy: tf.distribute.Strategy | None = None, every: float = 600.0, tensorboard: bool = False,
) -> Outcome | None:  # fmt: skip
    """Train, keep the best epoch, export to `out` and write the report.

    `out` then holds model.keras, saved_model/, model.tflite (takes RGB pixels, uint8), metrics.json, report.html,
    history.csv (a row per epoch) and run.json (settings, versions, fingerprint of the images). If interrupted, the same
    call goes on after the last snapshot.

    Args:
        run: settings.
        images: all images; a fifth is held out for the report, a tenth to choose the epoch.
        out: folder to write; with several machines on a disk that all read.
        callbacks: further Keras callbacks.
        overwrite: start anew if the folder holds a run.
        strategy: see `strategy_of`. Batches that are not full are then left out.
        every: seconds between snapshots within an epoch.
        tensorboard: also write curves and training images for TensorBoard, to `out`/tensorboard.

    Returns:
        What was measured; None on all machines but the first, which measures and writes.

    Raises:
        KerasVisionError: the folder holds something else, another run, or a finished one; a batch smaller than the
            number of replicas; or what `train` raises.
    """
    strategy = strategy or tf.distribute.get_strategy()
    if run.batch_size < strategy.num_replicas_in_sync:
        raise KerasVisionError(
            f"batch_size={run.batch_size} for {strategy.num_replicas_in_sync} replicas; give each at least one image."
        )
    rest, test = images.split(TEST_FRACTION, run.seed)
    training, validation = rest.split(VALIDATION_FRACTION, run.seed)
    keras.utils.set_random_seed(run.seed)
    with strategy.scope():
        model = _model(run, run.weights, images.class_names)
        model = synchronized(model) if run.sync_batch_norm else model
    settings, products = dataclasses.asdict(run), (REPORT, "saved_model", "model.tflite")
    folder = claim(out, settings, images.fingerprint(), strategy, products=products, overwrite=overwrite)
    batches = _pipelines(run, model, training, validation, strategy)
    writes = is_chief(strategy)
    best, history = BestEpoch(folder, writes), HistoryFile(out / HISTORY, writes)
    boards = board(out / BOARD, batches[0].epoch(0), model.preprocessing) if tensorboard and writes else []
    _train(run, model, *batches, [best, history, *boards, *callbacks], folder, strategy, every)
    if not writes:
        return None
    if strategy is not tf.distribute.get_strategy():
        model = _model(run, None, images.class_names)  # of one device
    best.load(model)
    outcome = finish(model, settings, test, best.epoch, history.rows, out)
    shutil.rmtree(folder)
    return outcome


def _model(run: Run, start: str | None, class_names: tuple[str, ...]) -> VisionModel:
    model = create_model(run.model, weights=start, classes=len(class_names), input_shape=(run.size, run.size, 3))
    model.labels = class_names
    # the whole shorter side, no margin cut off
    spec = dataclasses.replace(model.preprocessing, resize_shorter=run.size)
    return model.with_card(dataclasses.replace(model.card, preprocessing=spec))


def _pipelines(
    run: Run, model: VisionModel, training: LabelledImages, validation: LabelledImages, strategy: tf.distribute.Strategy
) -> tuple[Pipeline, Pipeline]:
    """Batches of all replicas; where there are several, each gets some of every batch."""
    replicas, spec = strategy.num_replicas_in_sync, model.preprocessing
    full = dict(drop_remainder=replicas > 1)
    held_out = min(run.batch_size, len(validation)) // replicas * replicas
    return (
        Pipeline(training, spec, run.batch_size, augment=AUGMENTATIONS[run.augment], seed=run.seed, **full),
        Pipeline(validation, spec, held_out, **full),
    )


def _train(
    run: Run, model: VisionModel, training: Pipeline, validation: Pipeline, callbacks: Sequence[Any], folder: Path,
    strategy: tf.distribute.Strategy, every: float,
) -> None:  # fmt: skip
    """Both phases; one that has ended already only gives the model back as it was then."""
    for head_only, first, last in ((True, 0, run.head_epochs), (False, run.head_epochs, run.epochs)):
        if first == last:
            continue
        _freeze(model, head_only)
        with strategy.scope():
            model.compile(
                keras.optimizers.Adam(_rate(run, head_only, (last - first) * training.steps), clipnorm=1.0),
                "sparse_categorical_crossentropy",
                metrics=["accuracy"],
                jit_compile="auto" if strategy.num_replicas_in_sync == 1 else False,
            )
        train(
            model,
            lambda epoch, steps: training.epoch(epoch, steps * training.batch_size),
            epochs=last,
            initial_epoch=first,
            steps_per_epoch=training.steps,
            validation=validation.epoch(0),
            callbacks=callbacks,
            strategy=strategy,
            snapshots=folder / ("head.npz" if head_only else "all.npz"),
            every=every,
        )


def _freeze(model: VisionModel, head_only: bool) -> None:
    """Frozen batch norm runs in inference mode: Keras sees to that."""
    head = find(model.card.name).head_layers
    for layer in model.layers:
        layer.trainable = not head_only or layer.name.startswith(head)


def _rate(run: Run, head_only: bool, steps: int) -> Any:
    if head_only:
        return 1e-3
    return warmed_up_cosine(run.learning_rate or (5e-4 if run.weights is None else 1e-4), steps)

"""From a table of labels to a multi-label classifier with thresholds: head first, then all layers; resumable."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.data import LabelGroups, MultiLabelImages, Pipeline, split_multi_label
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import SampleFBeta, Thresholds, f_beta, predict_labels, search_thresholds
from keras_vision.model import VisionModel
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.loop import Epochs, train
from keras_vision.training.multi_label import logits_model, multi_label_classifier, train_head_only
from keras_vision.training.multi_label_loss import MultiLabelCrossentropy
from keras_vision.training.optimisation import warmed_up_cosine
from keras_vision.training.run_folder import HISTORY, claim, finish, keep

THRESHOLDS = "thresholds.json"
TEST_FRACTION, VALIDATION_FRACTION = 0.2, 0.125  # the second of what the first leaves: 70 / 10 / 20 %


@dataclasses.dataclass(frozen=True)
class MultiLabelRun:
    """The settings of one run; the same settings and data resume an interrupted one.

    Attributes:
        model: name of the model.
        weights: starting point: None (random), a path, or a name of the model card.
        epochs: epochs in all.
        head_epochs: of these, epochs in which only the classifier trains.
        size: side of the square input, in pixels.
        exclusive: groups of labels of which an image has exactly one; they get a softmax.
        argmax: predict the most probable label of each group, in place of thresholds.
        batch_size: images per step.
        learning_rate: peak rate of Adam for the epochs in which all layers train; the classifier alone trains at 1e-3.
        seed: of the split, the order and the random weights.

    Raises:
        KerasVisionError: numbers of epochs or a batch size that make no sense.
    """

    model: str
    weights: str | None
    epochs: int
    head_epochs: int
    size: int
    exclusive: tuple[tuple[str, ...], ...] = ()
    argmax: bool = False
    batch_size: int = 32
    learning_rate: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 <= self.head_epochs <= self.epochs or self.batch_size < 1 or self.seed < 0:
            raise KerasVisionError(
                f"epochs={self.epochs}, head_epochs={self.head_epochs}, batch_size={self.batch_size}, "
                f"seed={self.seed}; give at least one epoch, no more head epochs than epochs, a batch of at least one "
                "and a seed from 0."
            )


@dataclasses.dataclass(frozen=True)
class MultiLabelOutcome:
    """What a finished run measured; the held-out fifth took no part in training or in the search for thresholds.

    Attributes:
        f2: mean over the held-out images, with the thresholds.
        f2_at_half: the same with 0.5 for all labels.
        validation_f2, validation_f2_at_half: of the images on which the thresholds were searched.
        baseline_f2: of the held-out images, if each got the most frequent labels of the training images: as many of
            them as do best there.
        test_images, validation_images, training_images: numbers of images.
    """

    f2: float
    f2_at_half: float
    validation_f2: float
    validation_f2_at_half: float
    baseline_f2: float
    test_images: int
    validation_images: int
    training_images: int


def train_multi_label(
    run: MultiLabelRun, images: MultiLabelImages, out: Path, callbacks: Sequence[Any] = (), overwrite: bool = False
) -> MultiLabelOutcome:
    """Train, search thresholds on a tenth of the images, measure F2 on a held-out fifth.

    `out` then holds model.keras, thresholds.json, metrics.json, history.csv and run.json. If interrupted, the same call
    goes on after the last snapshot (`kv.training.train`). The weights are those of the last epoch.

    Args:
        run: settings.
        images: all images with their labels.
        out: folder to write.
        callbacks: further Keras callbacks.
        overwrite: start anew if the folder holds a run.

    Raises:
        KerasVisionError: images that do not have exactly one label of each exclusive group, a label that no training
            image has, too few images, or a folder with something else, another run, or a finished one.
    """
    groups = LabelGroups(images.class_names, run.exclusive)
    groups.check(images.labels, images.sources)
    rest, test = split_multi_label(images, TEST_FRACTION, run.seed)
    training, validation = split_multi_label(rest, VALIDATION_FRACTION, run.seed)
    _check_positives(training)
    strategy, products = tf.distribute.get_strategy(), (THRESHOLDS,)
    settings = dataclasses.asdict(run)
    snapshots = claim(out, settings, _fingerprint(images), strategy, products=products, overwrite=overwrite)
    keras.utils.set_random_seed(run.seed)
    shape = (run.size, run.size, 3)
    model = multi_label_classifier(run.model, groups, weights=run.weights, input_shape=shape)
    spec = dataclasses.replace(model.preprocessing, resize_shorter=run.size)  # the whole shorter side, no margin
    model.with_card(dataclasses.replace(model.card, preprocessing=spec))
    callbacks = [HistoryFile(out / HISTORY), *callbacks]
    _fit(run, model, groups, training, validation, snapshots, callbacks)
    outcome, thresholds = _measured(run, model, groups, training, validation, test)
    keep(out, model)
    thresholds.save(out / THRESHOLDS, overwrite=True)
    finish(out, dataclasses.asdict(outcome))
    return outcome


def most_frequent(labels: np.ndarray) -> np.ndarray:
    """The prediction that gives each image the same labels: the most frequent ones, as many as have the best F2.

    Args:
        labels: of the training images, 0 and 1, `(n, labels)`.

    Returns:
        0 and 1, `(labels,)`.
    """
    order = np.argsort(-labels.mean(0), kind="stable")
    rows = [np.isin(np.arange(labels.shape[1]), order[: k + 1]).astype(np.uint8) for k in range(labels.shape[1])]
    return max(rows, key=lambda row: f_beta(labels, np.broadcast_to(row, labels.shape)))


def _fit(
    run: MultiLabelRun,
    model: VisionModel,
    groups: LabelGroups,
    training: MultiLabelImages,
    validation: MultiLabelImages,
    snapshots: Path,
    callbacks: Sequence[Any],
) -> None:
    spec, batch = model.preprocessing, run.batch_size
    held_out = Pipeline(validation, spec, batch).epoch(0)
    trained = logits_model(model)
    batches = Pipeline(training, spec, batch, seed=run.seed)
    for head_only, first, last in ((True, 0, run.head_epochs), (False, run.head_epochs, run.epochs)):
        if first == last:
            continue
        train_head_only(trained, head_only)
        metric = SampleFBeta(groups=groups.positions, from_logits=True, name="f2")
        loss = MultiLabelCrossentropy(groups.positions, from_logits=True)
        rate = 1e-3 if head_only else warmed_up_cosine(run.learning_rate, (last - first) * batches.steps)
        trained.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss, metrics=[metric], jit_compile=False)
        train(
            trained,
            _epochs(batches),
            epochs=last,
            initial_epoch=first,
            steps_per_epoch=batches.steps,
            validation=held_out,
            callbacks=callbacks,
            snapshots=snapshots / ("head.npz" if head_only else "all.npz"),
        )


def _epochs(batches: Pipeline) -> Epochs:
    return lambda epoch, step: batches.epoch(epoch, step * batches.batch_size)


def _measured(
    run: MultiLabelRun,
    model: VisionModel,
    groups: LabelGroups,
    training: MultiLabelImages,
    validation: MultiLabelImages,
    test: MultiLabelImages,
) -> tuple[MultiLabelOutcome, Thresholds]:
    scores = [predict_labels(model, part.sources, batch_size=run.batch_size) for part in (validation, test)]
    thresholds = search_thresholds(scores[0], validation.labels, groups, argmax=run.argmax)
    half = Thresholds(groups.names, (0.5,) * len(groups))
    found, at_half = (
        [f_beta(part.labels, rule.predict(s)) for part, s in zip((validation, test), scores, strict=True)]
        for rule in (thresholds, half)
    )
    constant = np.broadcast_to(most_frequent(training.labels), test.labels.shape)
    outcome = MultiLabelOutcome(
        f2=found[1],
        f2_at_half=at_half[1],
        validation_f2=found[0],
        validation_f2_at_half=at_half[0],
        baseline_f2=f_beta(test.labels, constant),
        test_images=len(test),
        validation_images=len(validation),
        training_images=len(training),
    )
    return outcome, thresholds


def _check_positives(images: MultiLabelImages) -> None:
    if absent := [n for n, count in zip(images.class_names, images.labels.sum(0), strict=True) if not count]:
        raise KerasVisionError(
            f"no training image has {', '.join(absent)}: it cannot be learned. Leave the label out, or give more "
            "of its images."
        )


def _fingerprint(images: MultiLabelImages) -> str:
    digest = hashlib.sha256(repr(images.class_names).encode() + np.ascontiguousarray(images.labels).tobytes())
    for source in images.sources:
        digest.update(source.tobytes() if isinstance(source, np.ndarray) else str(source).encode() + b"\0")
    return digest.hexdigest()

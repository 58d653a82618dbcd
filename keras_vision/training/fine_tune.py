"""From labelled images to an exported classifier: head first, then all layers; resumable; ends with a report."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vision import weights
from keras_vision.applications import create_model
from keras_vision.data import LabelledImages
from keras_vision.errors import KerasVisionError
from keras_vision.export import Parity, to_litert, to_saved_model
from keras_vision.files import whole_file
from keras_vision.model import VisionModel
from keras_vision.registry import find
from keras_vision.runtime import Predictor
from keras_vision.training.checkpoints import HISTORY, EpochCheckpoint
from keras_vision.training.report import write_report

RUN, METRICS, REPORT = "run.json", "metrics.json", "report.html"
TEST_FRACTION, VALIDATION_FRACTION = 0.2, 0.125  # the second of what the first leaves: 70 / 10 / 20 %


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
        seed: of the split, the shuffling and the random weights.
    """

    model: str
    data: str
    weights: str | None
    epochs: int
    head_epochs: int
    size: int
    batch_size: int = 32
    learning_rate: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 <= self.head_epochs <= self.epochs or self.batch_size < 1:
            raise KerasVisionError(
                f"epochs={self.epochs}, head_epochs={self.head_epochs}, batch_size={self.batch_size}; "
                "give at least one epoch, no more head epochs than epochs, and a batch of at least one."
            )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a finished run measured on the held-out fifth, which took no part in training or in choosing the epoch.

    Attributes:
        accuracy: of the Keras model.
        litert_accuracy: of the LiteRT file, fed with the original images through the runtime.
        agreement: share of held-out images on which the two predict the same class.
        parity: of the LiteRT file on random images.
        test_images: number of held-out images.
        best_epoch: epoch that was kept, from 1.
        training_seconds: wall time spent in training.
        litert_bytes: size of the LiteRT file.
        latency_ms: median time of one image through the runtime, decoding and resizing included.
    """

    accuracy: float
    litert_accuracy: float
    agreement: float
    parity: Parity
    test_images: int
    best_epoch: int
    training_seconds: float
    litert_bytes: int
    latency_ms: float


def fine_tune(
    run: Run, images: LabelledImages, out: Path, callbacks: Sequence[Any] = (), overwrite: bool = False
) -> Outcome:
    """Train, keep the best epoch, export to `out` and write the report.

    `out` then holds model.keras, saved_model/, model.tflite (takes RGB pixels, uint8), metrics.json and report.html. If
    interrupted, the same call goes on after the last finished epoch.

    Args:
        run: settings.
        images: all images; a fifth is held out for the report, a tenth to choose the epoch.
        out: folder to write.
        callbacks: further Keras callbacks.
        overwrite: start anew if the folder holds a run.

    Raises:
        KerasVisionError: the folder holds something else, another run, or a finished one.
    """
    rest, test = images.split(TEST_FRACTION, run.seed)
    train, validation = rest.split(VALIDATION_FRACTION, run.seed)
    keras.utils.set_random_seed(run.seed)
    model = _model(run, images.class_names)
    checkpoint = EpochCheckpoint(_prepare(run, images, out, overwrite))
    spec = model.preprocessing
    batches = train.dataset(spec, run.batch_size, run.seed), validation.dataset(spec, run.batch_size)
    _fit(run, model, *batches, checkpoint, callbacks)
    weights.load(model, weights.read(checkpoint.best, {}))
    outcome = _export(run, model, test, checkpoint, out)
    shutil.rmtree(checkpoint.folder)
    return outcome


def _prepare(run: Run, images: LabelledImages, out: Path, overwrite: bool) -> Path:
    """The checkpoint folder of a new or interrupted run."""
    settings = json.dumps({**dataclasses.asdict(run), "fingerprint": images.fingerprint()}, indent=1)
    if out.exists() and not out.is_dir():
        raise KerasVisionError(f"{out} is a file; give a folder.")
    if out.exists() and any(out.iterdir()) and not (out / RUN).exists():
        raise KerasVisionError(f"{out} is not empty and holds no training run; give another folder.")
    begun = (out / REPORT).exists() or (out / "checkpoints" / HISTORY).exists()
    if begun and not overwrite:
        if (out / RUN).read_text() != settings:
            raise KerasVisionError(
                f"{out} holds a run with other settings or other images; give another folder, or --overwrite it."
            )
        if (out / REPORT).exists():
            raise KerasVisionError(f"{out} holds this run, finished; give another folder, or --overwrite it.")
    elif begun:
        for name in ("checkpoints", "saved_model"):
            shutil.rmtree(out / name, ignore_errors=True)
        for name in (REPORT, METRICS, "model.keras", "model.tflite"):
            (out / name).unlink(missing_ok=True)
    with whole_file(out / RUN, overwrite=True) as temporary:
        temporary.write_text(settings)
    (out / "checkpoints").mkdir(exist_ok=True)
    return out / "checkpoints"


def _model(run: Run, class_names: tuple[str, ...]) -> VisionModel:
    model = create_model(run.model, weights=run.weights, classes=len(class_names), input_shape=(run.size, run.size, 3))
    model.labels = class_names
    # the whole shorter side, no margin cut off
    spec = dataclasses.replace(model.preprocessing, resize_shorter=run.size)
    return model.with_card(dataclasses.replace(model.card, preprocessing=spec))


def _fit(
    run: Run, model: VisionModel, train: Any, validation: Any, checkpoint: EpochCheckpoint, callbacks: Any
) -> None:
    for head_only, first, last in ((True, 0, run.head_epochs), (False, run.head_epochs, run.epochs)):
        done = checkpoint.epochs_done
        if done >= last:
            continue
        _freeze(model, head_only)
        optimizer = keras.optimizers.Adam(_rate(run, head_only, (last - first) * len(train)), clipnorm=1.0)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        if done > first:
            optimizer.build(model.trainable_variables)
            model.load_weights(checkpoint.last)
        elif done:  # the other phase's optimizer does not fit
            weights.load(model, weights.read(checkpoint.last, {}))
        model.fit(
            train,
            validation_data=validation,
            epochs=last,
            initial_epoch=max(done, first),
            callbacks=[checkpoint, *callbacks],
            shuffle=False,  # the pipeline shuffles
            verbose=0,
        )


def _freeze(model: VisionModel, head_only: bool) -> None:
    """Frozen batch norm runs in inference mode: Keras sees to that."""
    head = find(model.card.name).head_layers
    for layer in model.layers:
        layer.trainable = not head_only or layer.name.startswith(head)


def _rate(run: Run, head_only: bool, steps: int) -> Any:
    if head_only:
        return 1e-3
    peak = run.learning_rate or (5e-4 if run.weights is None else 1e-4)
    warmup = steps // 10
    return keras.optimizers.schedules.CosineDecay(peak / 100, steps - warmup, warmup_target=peak, warmup_steps=warmup)


def _export(run: Run, model: VisionModel, test: LabelledImages, checkpoint: EpochCheckpoint, out: Path) -> Outcome:
    with whole_file(out / "model.keras", overwrite=True) as temporary:
        model.save(temporary)
    to_saved_model(model, out / "saved_model", overwrite=True)
    parity = to_litert(model, out / "model.tflite", uint8_input=True, overwrite=True)
    predictor = Predictor(out / "model.tflite")
    probabilities = predictor.predict(test.sources)
    expected = model.predict(test.dataset(model.preprocessing, run.batch_size), verbose=0)
    outcome = Outcome(
        accuracy=float(np.mean(expected.argmax(1) == test.labels)),
        litert_accuracy=float(np.mean(probabilities.argmax(1) == test.labels)),
        agreement=float(np.mean(expected.argmax(1) == probabilities.argmax(1))),
        parity=parity,
        test_images=len(test),
        best_epoch=checkpoint.best_epoch,
        training_seconds=sum(logs["seconds"] for logs in checkpoint.history),
        litert_bytes=(out / "model.tflite").stat().st_size,
        latency_ms=_latency(predictor, test.sources[0]),
    )
    with whole_file(out / METRICS, overwrite=True) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(outcome), indent=1))
    write_report(out / REPORT, dataclasses.asdict(run), outcome, checkpoint.history, test, probabilities)
    return outcome


def _latency(predictor: Predictor, image: Any, runs: int = 30) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        predictor.classify(image)
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1000)

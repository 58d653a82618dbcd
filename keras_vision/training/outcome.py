"""The end of a run: export, measurement on held-out images, report."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.data import LabelledImages
from keras_vision.export import Parity, to_litert, to_saved_model
from keras_vision.files import whole_file
from keras_vision.model import VisionModel
from keras_vision.runtime import Predictor
from keras_vision.training.report import write_report
from keras_vision.training.run_folder import METRICS, MODEL

REPORT = "report.html"
_BATCH = 32


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


def finish(
    model: VisionModel, settings: Mapping[str, Any], test: LabelledImages, best_epoch: int,
    history: Sequence[Mapping[str, float]], out: Path,
) -> Outcome:  # fmt: skip
    """Export a trained classifier, measure it and write the report.

    Args:
        model: trained.
        settings: of the run, for the report.
        test: held-out images.
        best_epoch: whose weights the model has.
        history: metrics and seconds of each epoch.
        out: folder to write.
    """
    with whole_file(out / MODEL, overwrite=True) as temporary:
        model.save(temporary)
    to_saved_model(model, out / "saved_model", overwrite=True)
    parity = to_litert(model, out / "model.tflite", uint8_input=True, overwrite=True)
    predictor = Predictor(out / "model.tflite")
    probabilities = predictor.predict(test.sources)
    expected = model.predict(test.dataset(model.preprocessing, _BATCH), verbose=0)
    outcome = Outcome(
        accuracy=float(np.mean(expected.argmax(1) == test.labels)),
        litert_accuracy=float(np.mean(probabilities.argmax(1) == test.labels)),
        agreement=float(np.mean(expected.argmax(1) == probabilities.argmax(1))),
        parity=parity,
        test_images=len(test),
        best_epoch=best_epoch,
        training_seconds=sum(row["seconds"] for row in history),
        litert_bytes=(out / "model.tflite").stat().st_size,
        latency_ms=_latency(predictor, test.sources[0]),
    )
    write_report(out / REPORT, settings, outcome, history, test, probabilities)
    with whole_file(out / METRICS, overwrite=True) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(outcome), indent=1))
    return outcome


def _latency(predictor: Predictor, image: Any, runs: int = 30) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        predictor.classify(image)
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1000)

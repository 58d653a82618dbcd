"""Proof that an exported file computes what the Keras model computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from sklearn.metrics import jaccard_score

from keras_vision.errors import ExportError
from keras_vision.model import VisionModel
from keras_vision.registry import ModelCard
from keras_vision.runtime.preprocessing import Preprocessing

BOUND = 1e-4  # of the range of the Keras model's outputs, for float32
AGREEMENT = 0.98  # share of equal top-1 answers, for quantised files, unless the card states a measured other
DRIFT = 0.05  # mean difference of quantised files, of the range, where there are no answers to count
_ROUND_OFF = 8 * float(np.finfo(np.float32).eps)  # of the largest output: what float32 cannot tell apart


@dataclasses.dataclass(frozen=True)
class Parity:
    """How far two sets of outputs are apart.

    Attributes:
        max_difference: largest absolute difference.
        output_range: largest minus smallest output of the Keras model.
        bound: largest difference that was allowed.
        images: number of images compared.
        mean_difference: mean absolute difference.
        agreement: share of images, or of pixels of maps, with the same most probable class (of edges, on the same side
            of one half); None where the outputs are no answers.
        mean_iu: of the classes of maps, with the Keras model's as truth; None for anything else.
    """

    max_difference: float
    output_range: float
    bound: float
    images: int
    mean_difference: float = 0.0
    agreement: float | None = None
    mean_iu: float | None = None


def compare(reference: Any, candidate: Any, what: str, bound: float = BOUND) -> Parity:
    """Compare outputs of the Keras model with those of its export.

    Args:
        reference: arrays of the Keras model, alone or in a nested structure.
        candidate: arrays of the export, in the same order.
        what: the export, for the error message.
        bound: accepted difference as a fraction of the reference's range.

    Raises:
        ExportError: they differ by more, or are not finite.
    """
    found = []
    for expected, got in zip(keras.tree.flatten(reference), keras.tree.flatten(candidate), strict=True):
        expected, got = np.asarray(expected, np.float64), np.asarray(got, np.float64)
        if expected.shape != got.shape or not np.isfinite(expected).all():
            raise ExportError(f"{what}: {got.shape} for {expected.shape}, or the Keras model's outputs are not finite.")
        allowed = max(bound * float(np.ptp(expected)), _ROUND_OFF * float(np.abs(expected).max()))
        gap = np.abs(expected - got)
        parity = Parity(float(gap.max()), float(np.ptp(expected)), allowed, len(expected), float(gap.mean()))
        if not parity.max_difference <= allowed:
            raise ExportError(
                f"{what} differs from the Keras model by {parity.max_difference:.2g}, more than {allowed:.2g}; "
                "nothing was written."
            )
        found.append(parity)
    return max(found, key=lambda parity: parity.max_difference / (parity.bound or 1.0))


def compare_quantized(reference: Any, candidate: Any, card: ModelCard, what: str, least: float | None) -> Parity:
    """Compare outputs of the Keras model with those of a quantised file, which are near and not equal.

    Args:
        reference, candidate, card, what: as of `measure`.
        least: share of answers that have to be the same; None to hold the mean difference to `DRIFT` of the range, for
            images that are no photographs, and for outputs that are no answers.

    Raises:
        ExportError: they differ by more, or are not finite.
    """
    parity = measure(reference, candidate, card, what)
    if parity.agreement is not None and least is not None:
        if parity.agreement < least:
            raise ExportError(
                f"{what} gives the Keras model's answer on {parity.agreement:.1%} of {parity.images} images, less than "
                f"{least:.1%}; nothing was written. Calibrate on more images of the kind it will see, or, if this is "
                "good enough where you measured it, state the share as agreement=."
            )
    elif parity.mean_difference > parity.bound:
        raise ExportError(
            f"{what} differs from the Keras model by {parity.mean_difference:.2g} on average, more than "
            f"{parity.bound:.2g}; nothing was written."
        )
    return parity


def required(model: VisionModel, form: str, stated: float | None) -> float:
    """Least share of equal answers: as stated, else the card's for this form of these weights, else `AGREEMENT`."""
    return model.card.agreement.get(form, AGREEMENT) if stated is None else stated


def measure(reference: Any, candidate: Any, card: ModelCard, what: str) -> Parity:
    """How far two sets of outputs are apart, whatever is allowed; of several outputs, the one that is furthest.

    Args:
        reference, candidate: as of `compare`, with all images in the first dimension.
        card: says what the outputs mean.
        what: the export, for the error message.

    Raises:
        ExportError: outputs of other shapes, or not finite.
    """
    pairs = list(zip(keras.tree.flatten(reference), keras.tree.flatten(candidate), strict=True))
    found = []
    for expected, got in pairs:
        expected, got = np.asarray(expected, np.float64), np.asarray(got, np.float64)
        if expected.shape != got.shape or not (np.isfinite(expected).all() and np.isfinite(got).all()):
            raise ExportError(f"{what}: {got.shape} for {expected.shape}, or outputs that are not finite.")
        gap, extent = np.abs(expected - got), float(np.ptp(expected))
        no_answers = card.output == "features" or card.task == "generation" or len(pairs) > 1
        answers = None if no_answers else _answers(expected, got, card)
        mean_iu = None if answers is None or expected.ndim < 4 else float(jaccard_score(*answers, average="macro"))
        agreement = None if answers is None else float(np.mean(answers[0] == answers[1]))
        found.append(
            Parity(float(gap.max()), extent, DRIFT * extent, len(expected), float(gap.mean()), agreement, mean_iu)
        )
    return max(found, key=lambda parity: parity.mean_difference / (parity.bound or 1.0))


def _answers(expected: np.ndarray, got: np.ndarray, card: ModelCard) -> tuple[np.ndarray, np.ndarray]:
    if expected.shape[-1] > 1:
        return expected.argmax(-1).ravel(), got.argmax(-1).ravel()
    half = 0.0 if card.output == "logit" else 0.5
    return (expected > half).ravel(), (got > half).ravel()


def check_exportable(model: Any) -> None:
    """Whether a model can be exported from here.

    Raises:
        ExportError: another backend than TensorFlow, a model without a card, which says how its input is prepared, or
            weights that are not finite.
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError(f"exporting needs KERAS_BACKEND=tensorflow, not {keras.backend.backend()!r}.")
    if not isinstance(model, VisionModel):
        raise ExportError(
            f"{type(model).__name__} {getattr(model, 'name', '')!r} has no model card. For a model built on one of "
            "this package, use VisionModel(inputs, outputs, card=base.card) in place of keras.Model."
        )
    broken = [w.path for w in model.weights if not np.isfinite(np.asarray(w.value, np.float64)).all()]
    if broken:
        more = f" and {len(broken) - 1} others" if len(broken) > 1 else ""
        raise ExportError(f"the weights {broken[0]}{more} of {model.name} are not finite; load or train them again.")


def named_outputs(model: VisionModel, outputs: Any) -> dict[str, Any]:
    """Outputs by name: feature maps by theirs, else "probability", "logit" or "features".

    Of several outputs in a list the first is taken: the others are auxiliary heads, which serve training only.
    """
    if isinstance(outputs, dict):
        return {name.replace("/", "_"): value for name, value in outputs.items()}
    return {model.card.output: keras.tree.flatten(outputs)[0]}


def sample_pixels(preprocessing: Preprocessing, images: int = 4, seed: int = 0) -> np.ndarray:
    """Smooth random pixels `(images, h, w, c)`, uint8: closer to photographs than noise is."""
    rng = np.random.default_rng(seed)
    height, width = preprocessing.size
    coarse = rng.integers(0, 256, (images, height // 8 + 2, width // 8 + 2, preprocessing.channels))
    fine = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return np.clip(fine + rng.integers(-20, 21, fine.shape), 0, 255).astype(np.uint8)

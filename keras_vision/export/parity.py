"""Proof that an exported file computes what the Keras model computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_vision.errors import ExportError
from keras_vision.model import VisionModel
from keras_vision.runtime.preprocessing import Preprocessing

BOUND = 1e-4  # of the range of the Keras model's outputs, for float32
_ROUND_OFF = 8 * float(np.finfo(np.float32).eps)  # of the largest output: what float32 cannot tell apart


@dataclasses.dataclass(frozen=True)
class Parity:
    """How far two sets of outputs are apart.

    Attributes:
        max_difference: largest absolute difference.
        output_range: largest minus smallest output of the Keras model.
        bound: largest difference that was allowed.
        images: number of images compared.
    """

    max_difference: float
    output_range: float
    bound: float
    images: int


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
        parity = Parity(float(np.abs(expected - got).max()), float(np.ptp(expected)), allowed, len(expected))
        if not parity.max_difference <= allowed:
            raise ExportError(
                f"{what} differs from the Keras model by {parity.max_difference:.2g}, more than {allowed:.2g}; "
                "nothing was written."
            )
        found.append(parity)
    return max(found, key=lambda parity: parity.max_difference / (parity.bound or 1.0))


def check_exportable(model: Any) -> None:
    """Whether a model can be exported from here.

    Raises:
        ExportError: another backend than TensorFlow, or a model without a card, which says how its input is prepared.
    """
    if keras.backend.backend() != "tensorflow":
        raise ExportError(f"exporting needs KERAS_BACKEND=tensorflow, not {keras.backend.backend()!r}.")
    if not isinstance(model, VisionModel):
        raise ExportError(
            f"{type(model).__name__} {getattr(model, 'name', '')!r} has no model card. For a model built on one of "
            "this package, use VisionModel(inputs, outputs, card=base.card) in place of keras.Model."
        )


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

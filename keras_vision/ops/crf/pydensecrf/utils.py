"""The functions of `pydensecrf.utils`: unary energies and features as the classes of `densecrf` take them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError


def unary_from_labels(labels: Any, n_labels: int, gt_prob: float, zero_unsure: bool = True) -> np.ndarray:
    """Energies of a label map that is right with one probability: any shape -> float32 (n_labels, pixels).

    The other labels share the remaining probability.

    Args:
        labels: whole numbers, 1 to n_labels; without `zero_unsure` 0 to n_labels - 1.
        n_labels: labels, 0 not among them if `zero_unsure`.
        gt_prob: probability that an annotation is right, between 0 and 1.
        zero_unsure: 0 means that nothing is known: all labels are as probable.

    Raises:
        KerasVisionError: labels beyond that range, fewer than two labels, another probability.
    """
    labels = np.asarray(labels).ravel()
    first = 1 if zero_unsure else 0
    if not 0 < gt_prob < 1 or n_labels < 2:
        raise KerasVisionError(f"gt_prob={gt_prob!r}, n_labels={n_labels!r}; it takes 0 < gt_prob < 1 and two labels.")
    if labels.dtype.kind not in "iu" or (labels.size and not 0 <= labels.min() <= labels.max() < n_labels + first):
        span = f"{labels.min()} to {labels.max()}" if labels.size else "none"
        raise KerasVisionError(
            f"with {n_labels} labels and zero_unsure={zero_unsure}, a label map holds whole numbers from 0 to "
            f"{n_labels + first - 1}; given: {labels.dtype}, {span}."
        )
    wrong, right = -np.log((1 - gt_prob) / (n_labels - 1)), -np.log(gt_prob)
    annotated = np.arange(n_labels)[:, None] + first == labels.astype(np.int64)
    energy = np.where(annotated, np.float32(right), np.float32(wrong))
    if zero_unsure:
        energy[:, labels == 0] = -np.log(1 / n_labels)
    return energy


def unary_from_softmax(sm: np.ndarray, scale: float | None = None, clip: float | None = 1e-5) -> np.ndarray:
    """Energies of probabilities: (labels, ...) -> float32 (labels, pixels).

    Args:
        sm: probabilities, labels first.
        scale: mixes them with the uniform distribution: p becomes scale p + (1 - scale) / labels. Above 0, at most 1.
        clip: smallest probability taken seriously; None lets 0 become an infinite energy.

    Raises:
        KerasVisionError: `sm` has no axis of pixels, or another scale.
    """
    sm = np.asarray(sm)
    if sm.ndim < 2:
        raise KerasVisionError(f"probabilities must be (labels, ...), labels first; given: shape {sm.shape}.")
    if scale is not None:
        if not 0 < scale <= 1:
            raise KerasVisionError(f"scale must be above 0 and at most 1, not {scale!r}.")
        sm = scale * sm + (1 - scale) / len(sm)
    if clip is not None:
        sm = np.clip(sm, clip, 1)
    with np.errstate(divide="ignore"):  # an energy of infinity is meant
        return -np.log(sm).reshape(len(sm), -1).astype(np.float32)


def compute_unary(labels: Any, M: int, GT_PROB: float = 0.5) -> np.ndarray:
    """The older name of `unary_from_labels`."""
    warnings.warn("compute_unary is deprecated; use unary_from_labels.", DeprecationWarning, stacklevel=2)
    return unary_from_labels(labels, M, GT_PROB)


def softmax_to_unary(sm: np.ndarray, GT_PROB: float = 1) -> np.ndarray:
    """The older name of `unary_from_softmax`, with a scale and without clipping."""
    warnings.warn("softmax_to_unary is deprecated; use unary_from_softmax.", DeprecationWarning, stacklevel=2)
    return unary_from_softmax(sm, None if GT_PROB == 1 else GT_PROB, clip=None)


def create_pairwise_gaussian(sdims: Sequence[float], shape: Sequence[int]) -> np.ndarray:
    """Positions in standard deviations: float32 (axes, pixels).

    Args:
        sdims: deviation along each axis of `shape`: (y, x) for an image, where `sxy` is (x, y).
        shape: of the image or volume.

    Raises:
        KerasVisionError: not one deviation, other than 0, for each axis.
    """
    positions = np.indices(tuple(shape)).reshape(len(shape), -1)
    return _scaled("sdims", positions, sdims, f"each axis of {tuple(shape)}")


def create_pairwise_bilateral(
    sdims: Sequence[float], schan: float | Sequence[float], img: np.ndarray, chdim: int = -1
) -> np.ndarray:
    """Positions and colours in standard deviations: float32 (axes + channels, pixels).

    Args:
        sdims: deviation along each axis of pixels: (y, x) for an image, where `sxy` is (x, y).
        schan: deviation of the channels: one number, or one for each.
        img: the image or volume.
        chdim: its axis of channels; -1 (not the last axis!) means that there is none.

    Raises:
        KerasVisionError: there is no such axis, or not one deviation, other than 0, for each axis and channel.
    """
    img = np.asarray(img)
    if not -1 <= chdim < img.ndim:
        raise KerasVisionError(f"chdim must be an axis of the image, or -1 for none; given: {chdim}, {img.shape}.")
    channels = img[None] if chdim == -1 else np.moveaxis(img, chdim, 0)
    each = [schan] * len(channels) if isinstance(schan, Number) else schan
    colours = _scaled("schan", channels.reshape(len(channels), -1), each, "each channel")
    return np.concatenate([create_pairwise_gaussian(sdims, channels.shape[1:]), colours])


def _scaled(what: str, features: np.ndarray, deviations: Any, per: str) -> np.ndarray:
    scale = np.asarray(deviations, np.float32)
    if scale.shape != (len(features),) or not scale.all() or not np.isfinite(scale).all():
        raise KerasVisionError(
            f"{what} must be {len(features)} numbers other than 0, one for {per}; given: {deviations!r}."
        )
    return features.astype(np.float32) / scale[:, None]

"""Unary energies as objects, which `DenseCRF.setUnary` takes."""

from __future__ import annotations

import numpy as np

from keras_vision.ops.crf.pydensecrf import checks


class Unary:
    """An energy for each label and pixel, `energy`, float32 (labels, pixels). Make one of the two below."""

    energy: np.ndarray


class ConstUnary(Unary):
    """The energy itself: float32 (labels, pixels)."""

    def __init__(self, u: np.ndarray):
        self.energy = checks.array("u", u, "(labels, pixels)", (None, None), np.float32)


class LogisticUnary(Unary):
    """The energy ``L @ f`` of a linear model: float32 (labels, d) and features (d, pixels). L is not learned."""

    def __init__(self, L: np.ndarray, f: np.ndarray):
        weights = checks.array("L", L, "(labels, d)", (None, None), np.float32)
        self.energy = weights @ checks.array("f", f, "(d, pixels)", (weights.shape[1], None), np.float32)

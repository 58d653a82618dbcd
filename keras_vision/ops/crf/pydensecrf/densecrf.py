"""The classes of `pydensecrf.densecrf`. Q and unary energies are (labels, pixels), pixels row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf.dense_crf import dense_crf
from keras_vision.ops.crf.energy import Bilateral, Gaussian
from keras_vision.ops.crf.pydensecrf import checks
from keras_vision.ops.crf.pydensecrf.constants import (
    CONST_KERNEL,
    DIAG_KERNEL,
    FULL_KERNEL,
    NO_NORMALIZATION,
    NORMALIZE_AFTER,
    NORMALIZE_BEFORE,
    NORMALIZE_SYMMETRIC,
    KernelType,
    NormalizationType,
)
from keras_vision.ops.crf.pydensecrf.terms import (
    Filter,
    Term,
    as_dense_crf,
    on_lattice,
    over_grid,
    positions_and_colours,
)
from keras_vision.ops.crf.pydensecrf.unary import ConstUnary, LogisticUnary, Unary

__all__ = [
    "CONST_KERNEL",
    "DIAG_KERNEL",
    "FULL_KERNEL",
    "NORMALIZE_AFTER",
    "NORMALIZE_BEFORE",
    "NORMALIZE_SYMMETRIC",
    "NO_NORMALIZATION",
    "ConstUnary",
    "DenseCRF",
    "DenseCRF2D",
    "KernelType",
    "LogisticUnary",
    "NormalizationType",
    "Unary",
]


_NAMES = {  # as `dense_crf` calls them
    NO_NORMALIZATION: "none",
    NORMALIZE_BEFORE: "before",
    NORMALIZE_AFTER: "after",
    NORMALIZE_SYMMETRIC: "symmetric",
}


class DenseCRF:
    """A fully-connected CRF over points, with Gaussian kernels over any features (`pydensecrf.densecrf.DenseCRF`).

    Args:
        nvar: points (pixels).
        nlabels: labels.

    Raises:
        KerasVisionError: from any method, an argument cannot be used: another shape, dtype or order of axes, numbers
            that are not finite.

    Source: Krähenbühl & Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, 2011.
    """

    def __init__(self, nvar: int, nlabels: int):
        self._pixels, self._labels = checks.count("nvar", nvar), checks.count("nlabels", nlabels)
        self._logits = np.zeros((self._pixels, self._labels), np.float32)
        self._terms: list[Term] = []

    def setUnaryEnergy(self, u: np.ndarray, f: None = None) -> None:
        """The negative log-probabilities of the labels: float32 (labels, pixels); +inf means impossible."""
        if f is not None:
            raise KerasVisionError("setUnaryEnergy takes no features f here; give setUnary a LogisticUnary.")
        energy = checks.unary("the unary energy", u, self._labels, self._pixels)
        self._logits = np.negative(energy.T, order="C")

    def setUnary(self, u: Unary) -> None:
        """A ConstUnary or LogisticUnary in place of `setUnaryEnergy`."""
        if not isinstance(u, Unary):
            raise KerasVisionError(f"setUnary takes a ConstUnary or LogisticUnary, not {type(u).__name__}.")
        self.setUnaryEnergy(u.energy)

    def addPairwiseEnergy(
        self,
        features: np.ndarray,
        compat: float | np.ndarray,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """A Gaussian of features: float32 (d, pixels), in standard deviations, at most 63 dimensions.

        Args:
            features: `utils.create_pairwise_gaussian` and `utils.create_pairwise_bilateral` make them.
            compat: a number w (Potts: equal labels are rewarded with w), a float32 vector (what each label pays for
                meeting itself) or matrix (what a pair of labels pays; it is made symmetric, as in pydensecrf).
            kernel: any of the three kernel constants.
            normalization: one of the four normalisation constants.
        """
        features = checks.array("features", features, "(d, pixels)", (None, self._pixels), np.float32)
        if not np.isfinite(features).all():
            raise KerasVisionError("features must be finite; they hold NaN or infinity.")
        own = features.copy()
        self._add(compat, kernel, normalization, lambda: on_lattice(own))

    def inference(self, niter: int) -> np.ndarray:
        """Marginals Q, float32 (labels, pixels), after `niter` iterations of mean-field."""
        import tensorflow as tf

        n = checks.count("the number of iterations", niter, least=0)
        fast = as_dense_crf(self._terms) if self._terms else None
        if fast is not None:
            return self._on_images(n, *fast)
        marginals = tf.nn.softmax(self._logits)
        for _ in range(n):
            marginals = self._step(marginals)
        return np.array(marginals).T  # a copy: TensorFlow's own memory is read-only

    def startInference(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q before the first iteration, and two arrays, empty here, that `stepInference` asks for."""
        import tensorflow as tf

        return np.array(tf.nn.softmax(self._logits)).T, np.empty((0, 0), np.float32), np.empty((0, 0), np.float32)

    def stepInference(self, Q: np.ndarray, tmp1: Any, tmp2: Any) -> None:
        """One iteration of mean-field, in place: Q is float32 (labels, pixels); the others are not looked at."""
        Q = checks.array("Q", Q, "(labels, pixels)", (self._labels, self._pixels), np.float32)
        if not Q.flags.writeable:
            raise KerasVisionError("Q is changed in place and must be writable; pass a copy: np.array(Q).")
        Q[...] = np.asarray(self._step(np.ascontiguousarray(Q.T))).T

    def klDivergence(self, Q: np.ndarray) -> float:
        """``sum_i Q_i · (log Q_i + unary_i) + sum_ij Q_i · energy_ij Q_j``, pydensecrf's measure of what Q is worth.

        Pairs count in both orders, a pixel with itself too, and the partition function is left out: it is the KL
        divergence up to a constant only for pairwise terms of half the size. The iterations need not lower it.
        """
        Q = checks.array("Q", Q, "(labels, pixels)", (self._labels, self._pixels), np.float32)
        marginals = np.ascontiguousarray(Q.T)
        some = marginals > 0  # 0 log 0 and 0 times an infinite energy are 0
        q = marginals[some].astype(np.float64)
        divergence = q @ (np.log(q) - self._logits[some])
        for term in self._terms:
            divergence += np.vdot(marginals.astype(np.float64), np.asarray(term.energy(marginals)))
        return float(divergence)

    def _add(
        self, compat: Any, kernel: Any, normalization: Any, build: Callable[[], Filter], **for_dense_crf: Any
    ) -> None:
        checks.one_of("kernel", KernelType, kernel)
        name = _NAMES[checks.one_of("normalization", NormalizationType, normalization)]
        matrix = checks.compatibility(compat, self._labels)
        self._terms.append(Term(build, matrix, name, self._pixels, **for_dense_crf))

    def _step(self, marginals: Any) -> Any:
        import tensorflow as tf

        return tf.nn.softmax(self._logits - sum(term.energy(marginals) for term in self._terms))

    def _on_images(self, n: int, kernels: Any, compatibility: Any, normalization: str, image: Any) -> np.ndarray:
        raise NotImplementedError  # only a term of DenseCRF2D is one that `dense_crf` knows


class DenseCRF2D(DenseCRF):
    """A fully-connected CRF over the pixels of an image (`pydensecrf.densecrf.DenseCRF2D`).

    With Gaussian and bilateral terms that share their normalisation, and have numbers as `compat` or share that, too,
    `inference` is one call of `keras_vision.ops.dense_crf`. All else, and the single steps, go through the
    permutohedral filter, which builds its lattice anew in each of them.

    Args:
        w, h: pixels in a row, and rows.
        nlabels: labels.
    """

    def __init__(self, w: int, h: int, nlabels: int):
        self._width, self._height = checks.count("w", w), checks.count("h", h)
        super().__init__(self._width * self._height, nlabels)

    def addPairwiseGaussian(
        self,
        sxy: Any,
        compat: float | np.ndarray,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """A Gaussian of the positions: `sxy` pixels of standard deviation, or (x, y). The rest as addPairwiseEnergy."""
        theta = checks.deviations("sxy", sxy, "xy")
        self._add(
            compat,
            kernel,
            normalization,
            lambda: over_grid(self._height, self._width, theta),
            named=Gaussian(1, theta),
        )

    def addPairwiseBilateral(
        self,
        sxy: Any,
        srgb: Any,
        rgbim: np.ndarray,
        compat: float | np.ndarray,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """A Gaussian of positions and colours: `srgb` levels of deviation, or one for each colour; uint8 (h, w, 3)."""
        theta, colours = checks.deviations("sxy", sxy, "xy"), checks.deviations("srgb", srgb, "rgb")
        image = checks.array("rgbim", rgbim, "(h, w, 3)", (self._height, self._width, 3), np.uint8).copy()
        self._add(
            compat,
            kernel,
            normalization,
            lambda: on_lattice(positions_and_colours(image, theta, colours)),
            named=Bilateral(1, theta, colours),
            image=image,
        )

    def _on_images(self, n: int, kernels: Any, compatibility: Any, normalization: str, image: Any) -> np.ndarray:
        shape = (1, self._height, self._width)
        marginals = dense_crf(
            self._logits.reshape(*shape, self._labels),
            np.zeros((*shape, 1), np.float32) if image is None else image[None],
            kernels=kernels,
            compatibility=compatibility,
            iterations=n,
            normalization=normalization,
        )
        return np.array(marginals).reshape(self._pixels, self._labels).T


def __getattr__(name: str) -> Any:
    if name == "eigen":
        raise _Missing("pydensecrf's eigen is not provided: matrices are NumPy arrays here.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Missing(KerasVisionError, AttributeError):
    """Of pydensecrf, and not here; `hasattr` says so, too."""

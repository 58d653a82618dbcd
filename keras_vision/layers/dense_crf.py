"""The fully-connected CRF as a layer, whose kernel weights and label compatibility can be learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vision.errors import KerasVisionError
from keras_vision.ops import Bilateral, Gaussian, Potts, dense_crf
from keras_vision.ops.crf.dense_crf import check_settings
from keras_vision.ops.crf.energy import Kernel
from keras_vision.ops.crf.permutohedral import level_number

KINDS: dict[str, type[Kernel]] = {"Bilateral": Bilateral, "Gaussian": Gaussian}


@keras.saving.register_keras_serializable("keras_vision")
class DenseCRF(keras.layers.Layer):
    """Marginals of the fully-connected CRF, after some iterations of mean-field: `keras_vision.ops.dense_crf`.

    Called on ``[logits, image]``: `(n, h, w, labels)` and `(n, h, w, channels)`, the image in the units of theta_beta.
    Gives `(n, h, w, labels)`, probabilities, computed in float32 and returned in the layer's compute dtype. The image
    gets no gradient from the compiled operation.

    Its weights are `kernel_weights` (kernels), which training keeps at 0 or above, and `penalties`: one number for
    Potts, kept at 0 or above, else (labels, labels). Either can be fixed, and `trainable=False` fixes both, as DeepLab
    has them. The weights of the kernels and Potts' penalty multiply each other: to learn one of them is enough.

    Args:
        kernels: Bilateral and Gaussian; their weights are those that training starts from.
        compatibility: that training starts from: Potts, a number as Potts' penalty, or penalties (labels, labels), a
            row for each label of the pixel that pays. `Potts().matrix(labels)` starts a matrix from Potts.
        iterations: 0 gives the softmax of the logits.
        normalization: of each kernel: "symmetric", "before", "after" or "none".
        from_probabilities: the layer is called on probabilities in place of logits.
        impl: "custom", the compiled operation (TensorFlow); "reference", in keras.ops; "auto", the first if it can be.
        level: instructions of "custom": "best" that the processor has, "avx512", "avx2" or "plain".
        keep: training keeps the marginals of all iterations for the gradient, which else computes them again.
        train_kernel_weights: whether they are trained.
        train_penalties: whether they are trained.

    Raises:
        KerasVisionError: an argument cannot be used, a kernel or Potts' penalty is negative, or the inputs do not fit.

    Source: Krähenbühl & Koltun (2011, 2013); Zheng et al. (2015), who learn both.
    """

    def __init__(
        self,
        kernels: Sequence[Kernel] = (Bilateral(), Gaussian()),
        compatibility: Any = Potts(),  # noqa: B008 - it has no state
        iterations: int = 10,
        normalization: str = "symmetric",
        from_probabilities: bool = False,
        impl: str = "auto",
        level: str = "best",
        keep: bool = True,
        train_kernel_weights: bool = True,
        train_penalties: bool = True,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # an image of 0 to 255 loses digits in float16
        self.kernels = check_settings(kernels, iterations, normalization, impl)
        level_number(level)
        if any(kernel.weight < 0 for kernel in self.kernels):
            raise KerasVisionError(
                f"the layer's kernels must have weights of 0 or above; given: {self.kernels}. A kernel that repels "
                "equal labels is one with penalties of the opposite sign."
            )
        self.compatibility = _compatibility(compatibility)
        self.iterations, self.normalization, self.from_probabilities = (
            int(iterations),
            normalization,
            from_probabilities,
        )
        self.impl, self.level, self.keep = impl, level, keep
        self.train_kernel_weights, self.train_penalties = train_kernel_weights, train_penalties
        # XLA knows neither the operation nor, on TensorFlow, the gradient of the reference's loops.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def build(self, input_shape: Any) -> None:
        labels = _labels(input_shape)
        if self.compatibility.ndim and self.compatibility.shape[0] != labels:
            raise KerasVisionError(
                f"compatibility is {self.compatibility.shape}, and the logits have {labels} labels: {self.name} needs "
                f"Potts(), a number, or a matrix ({labels}, {labels})."
            )
        own = np.array([kernel.weight for kernel in self.kernels])
        self.kernel_weights = self._weight("kernel_weights", own, self.train_kernel_weights, positive=True)
        penalties = self.compatibility
        self.penalties = self._weight("penalties", penalties, self.train_penalties, positive=penalties.ndim == 0)
        self.built = True

    def _weight(self, name: str, start: np.ndarray, trainable: bool, positive: bool) -> Any:
        return self.add_weight(
            name=name,
            shape=start.shape,
            initializer=keras.initializers.Constant(start.tolist()),
            constraint=keras.constraints.NonNeg() if positive else None,
            trainable=trainable,
            dtype="float32",
            autocast=False,
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        logits, image = (ops.cast(x, "float32") for x in inputs)
        marginals = dense_crf(
            logits,
            image,
            kernels=self.kernels,
            kernel_weights=self.kernel_weights,
            compatibility=self.penalties,
            iterations=self.iterations,
            normalization=self.normalization,
            from_probabilities=self.from_probabilities,
            impl=self.impl,
            level=self.level,
            keep=self.keep and bool(training),
        )
        return ops.cast(marginals, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        names = ("iterations", "normalization", "from_probabilities", "impl", "level", "keep")
        own = {name: getattr(self, name) for name in (*names, "train_kernel_weights", "train_penalties")}
        kernels = [{"kind": type(kernel).__name__, **_numbers(asdict(kernel))} for kernel in self.kernels]
        return {**super().get_config(), "kernels": kernels, "compatibility": self.compatibility.tolist(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DenseCRF:
        kernels = [dict(kernel) for kernel in config["kernels"]]
        return cls(**{**config, "kernels": [KINDS[kernel.pop("kind")](**kernel) for kernel in kernels]})


def _numbers(kernel: dict[str, Any]) -> dict[str, Any]:
    """As JSON has them: no tuples, nothing of NumPy."""
    return {name: np.asarray(value, float).tolist() for name, value in kernel.items()}


def _compatibility(given: Any) -> np.ndarray:
    """Potts' penalty, (), or penalties (labels, labels)."""
    try:
        values = np.asarray(1.0 if isinstance(given, Potts) else given, np.float32)
    except (TypeError, ValueError) as error:
        raise KerasVisionError(f"compatibility must be Potts(), a number or a matrix, not {given!r}.") from error
    square = values.ndim == 0 or (values.ndim == 2 and values.shape[0] == values.shape[1])
    if not square or not np.isfinite(values).all():
        raise KerasVisionError(
            f"compatibility must be Potts(), a finite number or a finite matrix (labels, labels); given: {given!r}."
        )
    if values.ndim == 0 and values < 0:
        raise KerasVisionError(f"Potts' penalty must be 0 or above, not {given!r}: labels that differ would be paid.")
    return values


def _labels(shapes: Any) -> int:
    """Their number, from the shapes of the logits and the image."""
    if len(shapes) != 2 or any(not isinstance(shape, tuple | list) or len(shape) != 4 for shape in shapes):
        raise KerasVisionError(
            f"DenseCRF is called on [logits (n, h, w, labels), image (n, h, w, channels)]; given: shapes {shapes}."
        )
    labels, channels = shapes[0][3], shapes[1][3]
    if labels is None or channels is None:
        raise KerasVisionError(
            f"DenseCRF needs static numbers of labels and channels; given: {tuple(shapes[0])} and {tuple(shapes[1])}."
        )
    return labels

"""Mean-field inference of the fully-connected CRF, by the compiled operation or in `keras.ops`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.ops.compiler import BuildError
from keras_vision.ops.crf import reference
from keras_vision.ops.crf.energy import Bilateral, Gaussian, Kernel, Potts
from keras_vision.ops.crf.library import operations
from keras_vision.ops.crf.parameters import compatibility_terms, strengths
from keras_vision.ops.crf.permutohedral import level_number
from keras_vision.ops.crf.readable import readable_errors

NORMALIZATIONS = {"symmetric": 0, "before": 1, "after": 2, "none": 3}  # enum kv_normalization of core/crf.h
IMPLEMENTATIONS = ("auto", "custom", "reference")


def dense_crf(
    logits: Any,
    image: Any,
    *,
    kernels: Sequence[Kernel] = (Bilateral(), Gaussian()),
    kernel_weights: Any = None,
    compatibility: Any = Potts(),  # noqa: B008 - it has no state
    iterations: int = 10,
    normalization: str = "symmetric",
    from_probabilities: bool = False,
    impl: str = "auto",
    level: str = "best",
    keep: bool = False,
) -> Any:
    """Marginals of the fully-connected CRF after some mean-field iterations: (n, h, w, labels) -> (n, h, w, labels).

    The unary energy is ``-log softmax(logits)``; every pair of pixels pays ``compatibility · sum of kernels``. Each
    iteration is ``Q = softmax(logits - compatibility · sum_k weight_k K_k Q)``; the kernels include a pixel's message
    to itself, as in the authors' program. Parameters mean what they mean in pydensecrf: `sxy`, `srgb` and `compat`
    are theta, theta_beta and weight.

    The compiled operation runs on the CPU in float32, with TensorFlow's threads; Bilateral kernels are approximated on
    the permutohedral lattice, Gaussian ones on a grid of B-splines. Beside its arguments and result it takes, with the
    default kernels, 80 bytes a pixel and 2 a pixel and label on photographs; on noise, or with a small theta_beta, ten
    times that; never more than 2,400 and 56. That is for one image; of a batch as many as there are threads are at
    work. Each step compares what it needs with what the machine has beforehand.

    On an NVIDIA GPU it runs where nvcc can compile it (`keras_vision.ops.cuda`): the same steps in float32, in memory
    of TensorFlow's allocator. That has not been run on a GPU yet: its kernels are compiled, and tested in an emulation
    on the CPU.

    The gradient goes through all iterations to the logits, kernel_weights and compatibility, the last two if they are
    tensors or variables. It is that of the approximation, up to rounding. Kernels of weight 0, which the forward pass
    leaves out, have one too, and are computed for it if kernel_weights is a tensor. The image gets none (None) from the
    operation; of the reference it does. The operation's gradient has no gradient itself.

    Args:
        logits: unnormalised log-probabilities, (n, h, w, labels); -inf means impossible.
        image: (n, h, w, channels), in the units of theta_beta; any number of channels up to 61.
        kernels: Bilateral and Gaussian, at most 16.
        kernel_weights: (kernels) in place of the kernels' own weights.
        compatibility: Potts; a number, which is Potts' penalty in place of 1; or penalties (labels, labels): a row for
            each label of the pixel that pays.
        iterations: 0 gives the softmax of the logits. The paper uses 10.
        normalization: of each kernel K with D = K 1: "symmetric" D^-1/2 K D^-1/2, "before" K D^-1, "after" D^-1 K,
            or "none".
        from_probabilities: `logits` holds probabilities instead.
        impl: "custom", the compiled operation (TensorFlow backend; compiled on the first call); "reference", written in
            keras.ops, slow and with thinned Bilateral kernels (`keras_vision.ops.crf.reference`); or "auto": "custom",
            and "reference" on other backends or, with a warning, where there is no compiler.
        level: instructions of "custom": "best" that the processor has, "avx512", "avx2" or "plain".
        keep: hand the marginals of every iteration to the gradient of "custom", `iterations` times the memory of the
            logits; in eager mode TensorFlow adds as many zeros. Else it computes them again, for as many images at a
            time as are at work. The values are the same.

    Returns:
        Probabilities in the logits' dtype, float32 if that is none of float16, bfloat16 and float32.

    Raises:
        KerasVisionError: an argument cannot be used: shapes that do not fit, NaN or infinite values, a theta too small
            for the range of the image.
        MemoryError: the image and its labels need more memory than there is.
        BuildError: impl="custom", and the operation cannot be compiled.

    Within a graph (tf.function, fit), what only the operation can see is TensorFlow's InvalidArgumentError and
    ResourceExhaustedError, with the same words.

    Source: DeepLab, section 4.2; Krähenbühl & Koltun, 2011, algorithm 1.
    """
    _check_shapes(logits, image)
    kernels = check_settings(kernels, iterations, normalization, impl)
    number = level_number(level)
    logits = logits if hasattr(logits, "dtype") else np.asarray(logits)
    given = keras.backend.standardize_dtype(logits.dtype)
    dtype = given if given in ("float16", "bfloat16") else "float32"
    if from_probabilities:  # in float32: float16 has no smaller probabilities than 6e-8
        logits = keras.ops.cast(logits, "float32")
        logits = keras.ops.log(keras.ops.maximum(logits, np.finfo(np.float32).tiny))
    custom = _operations(impl)
    if custom is None:
        marginals = reference.mean_field(
            logits, image, kernels, compatibility, iterations, normalization, kernel_weights=kernel_weights
        )
        return keras.ops.cast(marginals, dtype)
    options = dict(
        iterations=int(iterations), normalization=NORMALIZATIONS[normalization], level=number, keep=bool(keep)
    )
    return keras.ops.cast(_custom(custom, logits, image, kernels, kernel_weights, compatibility, options), dtype)


def _check_shapes(logits: Any, image: Any) -> None:
    shapes = tuple(getattr(logits, "shape", np.shape(logits))), tuple(getattr(image, "shape", np.shape(image)))
    if any(len(shape) != 4 for shape in shapes):
        raise KerasVisionError(
            "dense_crf takes logits (n, h, w, labels) and an image (n, h, w, channels); given: shapes "
            f"{shapes[0]} and {shapes[1]}. For a single image add an axis in front: logits[None], image[None]."
        )
    if any(None not in pair and pair[0] != pair[1] for pair in zip(shapes[0][:3], shapes[1][:3], strict=True)):
        raise KerasVisionError(
            f"logits and image differ in n, h or w: {shapes[0]} and {shapes[1]}. Resize one of them."
        )
    if shapes[0][3] == 0 or 0 in shapes[0][1:3]:
        raise KerasVisionError(
            f"logits of shape {shapes[0]} hold no pixel or no label; at least one of each is needed."
        )


def check_settings(kernels: Any, iterations: Any, normalization: str, impl: str) -> tuple[Kernel, ...]:
    """The kernels as a tuple, if `dense_crf` takes these arguments whatever it is called on.

    Raises:
        KerasVisionError: it does not.
    """
    kernels = tuple(kernels) if isinstance(kernels, Sequence) else (kernels,)
    if any(not isinstance(kernel, Bilateral | Gaussian) for kernel in kernels):
        raise KerasVisionError(f"kernels must be Bilateral(...) and Gaussian(...), not {kernels!r}.")
    if isinstance(iterations, bool) or not isinstance(iterations, int | np.integer) or iterations < 0:
        raise KerasVisionError(f"iterations must be a whole number from 0 on, not {iterations!r}.")
    if normalization not in NORMALIZATIONS:
        raise KerasVisionError(f"normalization must be one of {', '.join(NORMALIZATIONS)}, not {normalization!r}.")
    if impl not in IMPLEMENTATIONS:
        raise KerasVisionError(f"impl must be one of {', '.join(IMPLEMENTATIONS)}, not {impl!r}.")
    return kernels


def _operations(impl: str) -> Any | None:
    """The compiled operations, or None for the reference."""
    backend = keras.backend.backend()
    if impl == "reference" or (impl == "auto" and backend != "tensorflow"):
        return None
    if backend != "tensorflow":
        raise KerasVisionError(
            f"impl='custom' needs the TensorFlow backend; Keras runs on {backend}. Use impl='reference'."
        )
    try:
        return operations()
    except BuildError as error:
        if impl == "custom":
            raise
        warnings.warn(
            f"dense_crf runs its slow reference with thinned kernels: {error} To say that you want it, pass "
            "impl='reference'.",
            KerasVisionWarning,
            stacklevel=3,
        )
        return None


def _custom(
    module: Any,
    logits: Any,
    image: Any,
    kernels: tuple[Kernel, ...],
    kernel_weights: Any,
    compatibility: Any,
    options: dict[str, int],
) -> Any:
    import tensorflow as tf

    image = tf.convert_to_tensor(image)
    labels, channels = logits.shape[3], image.shape[3]
    if labels is None or channels is None:
        raise KerasVisionError(
            f"dense_crf needs static numbers of labels and channels; given: {logits.shape} and {image.shape}."
        )
    thetas = [kernel.thetas(channels) for kernel in kernels]
    factor, matrix = compatibility_terms(compatibility, labels)
    weights = strengths(kernels, kernel_weights, factor)
    learned = dict(learn_weights=not _numbers(weights), learn_penalties=matrix is not None and not _numbers(matrix))
    with readable_errors():
        marginals, _ = module.keras_vision_dense_crf(
            tf.cast(logits, tf.float32),
            tf.cast(image, tf.float32),
            weights,
            np.array([position for position, _ in thetas], np.float32).reshape(-1, 2),
            np.array([_looks(colour, channels) for _, colour in thetas], np.float32).reshape(-1, channels),
            np.zeros((0, 0), np.float32) if matrix is None else matrix,
            **options,
            **learned,
        )
    return marginals


def _numbers(values: Any) -> bool:
    """Whether they are no tensor or variable, so that nobody can ask for their gradient."""
    return isinstance(values, np.ndarray)


def _looks(colour: tuple[float, ...] | None, channels: int) -> tuple[float, ...]:
    """Deviations of the channels for the operation, to which 0 says that a kernel does not look at the image."""
    if colour is None:
        return (0.0,) * channels
    return tuple(max(theta, float(np.finfo(np.float32).tiny)) for theta in colour)

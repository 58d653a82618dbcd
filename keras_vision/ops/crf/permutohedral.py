"""The permutohedral filter: a Gaussian sum over points of many features, in time linear in the points."""

from __future__ import annotations

from typing import Any

from keras_vision.errors import KerasVisionError
from keras_vision.ops.crf.library import LEVELS, operations
from keras_vision.ops.crf.readable import readable_errors


def permutohedral_filter(values: Any, features: Any, reverse: bool = False, *, level: str = "best") -> Any:
    """``sum_j exp(-|f_i - f_j|² / 2) v_j``, approximated on the permutohedral lattice.

    (n, ..., channels), (n, ..., d) -> (n, ..., channels): values and features of the same points, on the TensorFlow
    backend. The sum includes j = i. The lattice's blur makes single pairs of points deviate by tens of per cent of the
    kernel's height; sums over many points are much closer. Differentiable with respect to the values, not the features.

    Args:
        values: float32; any number of channels.
        features: float32, finite, in standard deviations; 1 to 63 dimensions.
        reverse: apply the transposed filter, which blurs the axes in the opposite order.
        level: instructions to use: "best" that the processor has, "avx512", "avx2" or "plain".

    Raises:
        KerasVisionError: shapes do not fit, values are not finite, or the features span too many standard deviations.
        BuildError: the operation cannot be compiled here.

    Source: Adams, Baek & Davis, Fast High-Dimensional Filtering Using the Permutohedral Lattice, 2010.
    """
    import tensorflow as tf

    values, features = (tf.cast(tf.convert_to_tensor(array), tf.float32) for array in (values, features))
    if values.shape.rank is None or values.shape.rank < 3 or features.shape.rank != values.shape.rank:
        raise KerasVisionError(
            "the permutohedral filter takes values (n, ..., channels) and features (n, ..., dimensions) with at least "
            f"one axis of points; given: {values.shape} and {features.shape}."
        )
    module, number = operations(), level_number(level)
    shape, seen = tf.shape(values), tf.shape(features)
    with readable_errors():
        filtered = module.keras_vision_permutohedral_filter(
            tf.reshape(values, [shape[0], tf.reduce_prod(shape[1:-1]), shape[-1]]),
            tf.reshape(features, [seen[0], tf.reduce_prod(seen[1:-1]), seen[-1]]),
            reverse=reverse,
            level=number,
        )
    return tf.ensure_shape(tf.reshape(filtered, shape), values.shape)


def level_number(level: str) -> int:
    """The number of a level of instructions.

    Raises:
        KerasVisionError: there is no such level.
    """
    if level not in LEVELS:
        raise KerasVisionError(f"level must be one of {', '.join(LEVELS)}, not {level!r}.")
    return LEVELS[level]

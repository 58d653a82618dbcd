"""The public permutohedral filter: its gradient, shapes, and bad input."""

import numpy as np
import pytest
import tensorflow as tf

import keras_vision as kv
from keras_vision.errors import KerasVisionError


def test_the_filter_has_the_gradient_of_its_transpose():
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=(2, 30, 4)) * 2, tf.float32)  # sparse: most vertices lie at the border
    values = tf.constant(rng.normal(size=(2, 30, 3)), tf.float32)
    weights = tf.constant(rng.normal(size=(2, 30, 3)), tf.float32)
    for reverse in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_sum(kv.ops.permutohedral_filter(values, features, reverse) * weights)
        gradient = tape.gradient(loss, values).numpy()
        for index in [(0, 0, 0), (0, 17, 2), (1, 29, 1)]:
            step = np.zeros(values.shape, np.float32)
            step[index] = 1  # the filter is linear: a large step is exact
            there, back = (
                tf.reduce_sum(kv.ops.permutohedral_filter(values + sign * step, features, reverse) * weights)
                for sign in (1, -1)
            )
            np.testing.assert_allclose(gradient[index], (there - back) / 2, rtol=1e-3, atol=1e-4)
    theoretical, numerical = tf.test.compute_gradient(
        lambda values: kv.ops.permutohedral_filter(values, features[:, :6]), [values[:, :6]], delta=0.5
    )
    np.testing.assert_allclose(theoretical[0], numerical[0], atol=1e-4)


def test_the_filter_takes_points_in_any_shape():
    rng = np.random.default_rng(0)
    values, features = rng.normal(size=(2, 5, 7, 3)), rng.normal(size=(2, 5, 7, 2))
    ours = kv.ops.permutohedral_filter(values, features)
    flat = kv.ops.permutohedral_filter(values.reshape(2, 35, 3), features.reshape(2, 35, 2))
    np.testing.assert_array_equal(ours, flat.numpy().reshape(ours.shape))
    with pytest.raises(KerasVisionError, match=r"values \(n, ..., channels\) and features"):
        kv.ops.permutohedral_filter(values, features[0])
    with pytest.raises(KerasVisionError, match="of the same points"):
        kv.ops.permutohedral_filter(values, features[:, :4])
    with pytest.raises(KerasVisionError, match="dimensions must be from 1 to 63, not 64"):
        kv.ops.permutohedral_filter(values, np.zeros((2, 5, 7, 64)))

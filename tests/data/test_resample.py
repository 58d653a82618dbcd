"""The faster resampling against TensorFlow's operation, to the last bit."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vision.data.resample import resample


@pytest.mark.parametrize(("kernel", "antialias"), [("triangle", True), ("triangle", False), ("box", False)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_equal_to_scale_and_translate(kernel, antialias, kind):
    rng = np.random.default_rng(0)
    for _ in range(40):
        height, width, channels = (*rng.integers(1, 200, 2), rng.choice([1, 3]))
        pixels = rng.integers(0, 256, (height, width, channels)).astype(kind)
        size = tuple(map(int, rng.integers(1, 120, 2)))
        scale = (np.array(size) / rng.uniform(1, 300, 2)).astype(np.float32)
        translation = rng.uniform(-100, 100, 2).astype(np.float32)
        expected = tf.raw_ops.ScaleAndTranslate(
            images=pixels[None],
            size=size,
            scale=scale,
            translation=translation,
            kernel_type=kernel,
            antialias=antialias,
        )[0]
        found = resample(tf.constant(pixels), tf.constant(scale), tf.constant(translation), size, kernel, antialias)
        np.testing.assert_array_equal(found, expected)

"""Cutout blanks what tensorflow-addons' cutout blanks for the same centre; docs/addons.md is the table."""

import make_addons
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.data.augment import photometric

GOLDEN = np.load(make_addons.FILE)
SQUARES = [name for name, ((height, width), _) in make_addons.CUTOUTS.items() if height == width]


def seed_of(centre, height, width):
    """A seed from which `Cutout` draws this centre."""
    for number in range(10_000):
        draws = tf.random.stateless_uniform([3], [number, 0]).numpy()
        if (int(draws[0] * height), int(draws[1] * width)) == tuple(centre):
            return [number, 0]
    raise AssertionError(centre)


@pytest.mark.parametrize("name", SQUARES)
def test_equals_the_addon(name):
    (side, _), centres = make_addons.CUTOUTS[name]
    for pixels, centre, golden in zip(
        make_addons.values("image", 2, 10, 12, 3), centres, GOLDEN[f"cutout/{name}"], strict=True
    ):
        actual = photometric.Cutout(side, fill=0.5)(tf.constant(pixels), seed_of(centre, 10, 12))
        np.testing.assert_array_equal(actual, golden)
        assert (golden == 0.5).any()

"""The loop over stages: images that go on wait for a batch, and every one gets what it would have got alone."""

import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.runtime.exits import in_batches

SPREADS = np.random.default_rng(0).uniform(0, 1, (3, 101)).astype("float32")  # by stage and image
THRESHOLDS = (0.3, 0.5)


class Stages:
    """Three stages that know each image by its number, and remember the batches that they were given."""

    def __init__(self):
        self.batches = [[], [], []]

    def __call__(self, number, carried):
        (images,) = carried
        self.batches[number].append(len(images))
        places = images[:, 0].astype(int)
        given = np.stack([places, np.full(len(places), number)], axis=1).astype("float32")
        return given, SPREADS[number, places], lambda: [images]


def by_hand(place):
    return next((stage for stage, limit in enumerate(THRESHOLDS) if SPREADS[stage, place] < limit), 2)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 100, 101, 500])
def test_images_leave_as_they_would_alone(batch_size):
    stages = Stages()
    found = in_batches(stages, np.arange(101, dtype="float32")[:, None], THRESHOLDS, 2, batch_size)
    expected = [by_hand(place) for place in range(101)]
    np.testing.assert_array_equal(found.exits, expected)
    np.testing.assert_array_equal(found.probabilities, np.stack([np.arange(101), expected], axis=1))
    assert [sum(sizes) for sizes in stages.batches] == [sum(e >= stage for e in expected) for stage in range(3)]
    if batch_size < 101:
        assert all(size == batch_size for sizes in stages.batches for size in sizes[:-1])


@pytest.mark.parametrize("batch_size", [1, 4])
def test_values_that_are_not_finite_are_an_error(batch_size):
    def broken(number, carried):
        spread = np.where(carried[0][:, 0] == 2, np.nan, 0.0)
        return np.zeros((len(spread), 2), "float32"), spread, lambda: carried

    with pytest.raises(KerasVisionError, match="exit 0 gives values that are not finite"):
        in_batches(broken, np.arange(9, dtype="float32")[:, None], THRESHOLDS, 2, batch_size)

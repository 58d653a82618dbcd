"""How well people agree: by hand on small drawings, and the published figure on the real ones."""

import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import KerasVisionError


def lines(*rows):
    """One person for each row: a line of ten pixels there, or none."""
    people = np.zeros((len(rows), 60, 10), bool)
    for person, row in enumerate(rows):
        if row is not None:
            people[person, row] = True
    return people


def test_counts_by_hand():
    # The diagonal is 60.8 pixels: at a tolerance of 0.05, rows up to 3 apart match.
    found = kv.edges.human_consistency([lines(0, 2, 40)], tolerance=0.05)
    assert (found.right[0], found.detected[0]) == (20, 30)  # the first two confirm each other
    assert (found.found[0], found.annotated[0]) == (20, 60)  # each is compared with two others
    assert (found.precision, found.recall) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert found.f == pytest.approx(4 / 9)
    np.testing.assert_allclose(found.image_f, [4 / 9])
    several = kv.edges.human_consistency(iter([lines(0, 2, 40), lines(5, 5)]), tolerance=0.05)
    assert several.f == pytest.approx(2 * (40 / 50) * (40 / 80) / (40 / 50 + 40 / 80))
    nothing = kv.edges.human_consistency([lines(None, None)])
    assert (nothing.f, nothing.precision, nothing.recall) == (0, 0, 0)


def test_some_real_people_agree(berkeley):
    calls = []
    some = [berkeley.boundaries(position) for position in (0, 20, 60, 80)]
    found = kv.edges.human_consistency(some, workers=2, progress=lambda *done: calls.append(done))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert 0.7 < found.f < 0.9
    assert found.precision > found.recall  # anybody confirms a pixel; all are asked to have drawn it
    np.testing.assert_array_equal(found.detected, [people.sum() for people in some])  # drawn thin: thinning is idle
    np.testing.assert_array_equal(found.annotated, [people.sum() * (len(people) - 1) for people in some])


@pytest.mark.slow
def test_the_published_human_consistency(berkeley):
    """0.80 in Arbelaez et al., 2011, of the 200 test images; here are 100 of them."""
    found = kv.edges.human_consistency(berkeley, workers=2)
    assert len(found.right) == 100
    assert found.f == pytest.approx(0.80, abs=0.01)


def test_bad_input():
    with pytest.raises(KerasVisionError, match="no images"):
        kv.edges.human_consistency([])
    with pytest.raises(KerasVisionError, match="one person annotated image 1; consistency takes two"):
        kv.edges.human_consistency([lines(0, 1), lines(0)])
    with pytest.raises(KerasVisionError, match=r"annotations of image 0 of shape \(60, 10\)"):
        kv.edges.human_consistency([lines(0)[0]])
    with pytest.raises(KerasVisionError, match="workers=0"):
        kv.edges.human_consistency([lines(0, 1)], workers=0)
    with pytest.raises(KerasVisionError, match="tolerance=-1"):
        kv.edges.human_consistency([lines(0, 1)], tolerance=-1)

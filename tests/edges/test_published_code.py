"""Against the published code of the benchmark, whose outputs tests/golden/make_boundary_benchmark.py wrote."""

from pathlib import Path

import numpy as np
import pytest

import keras_vision as kv
from keras_vision.edges.evaluation import count_matches

FILE = Path(__file__).parents[1] / "golden/boundary_benchmark.npz"
SUPPRESSIONS = ((1, 5, 1.01, 0), (2, 5, 1.01, 1), (3, 0, 1.2, 0))  # as in the generator


@pytest.fixture(scope="module")
def golden():
    with np.load(FILE) as file:
        return dict(file)


def test_thinning(golden):
    for strength, thin in zip(golden["strength"], golden["thin"], strict=True):
        assert thin.sum() > 300
        np.testing.assert_array_equal(kv.edges.thin(strength.astype(np.float64).round(3) > 0.55), thin)


@pytest.mark.parametrize("which", range(3))
def test_suppression(golden, which):
    for strength, kept in zip(golden["strength"], golden["kept"][:, which], strict=True):
        assert 0.05 < (kept > 0).mean() < 0.8
        np.testing.assert_allclose(kv.edges.suppress_non_maxima(strength, *SUPPRESSIONS[which]), kept, atol=1e-6)


def test_matching(golden):
    """Its matching draws six outliers for each pixel at random, and misses a few pairs that the exact one finds."""
    for thin, people, pairs, right in zip(*(golden[k] for k in ("thin", "people", "pairs", "right")), strict=True):
        each = [len(kv.edges.match_boundaries(thin, person, 0.0155)[0]) for person in people]
        assert (each >= pairs).all()
        assert (each <= pairs + np.ceil(0.005 * pairs)).all()
        counted = count_matches(thin, people, 0.0155)
        assert counted == (counted[0], thin.sum(), sum(each), people.sum())
        assert counted[0] == pytest.approx(right, rel=0.005)

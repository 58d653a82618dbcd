"""Affinities against a loop over pixels; fast normalised cuts against the full problem and SciPy's dense solver."""

import numpy as np
import pytest
from scipy import linalg, ndimage
from skimage.draw import line

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.proposals.eigenvectors import whitened


def scene(shape=(48, 64)):
    """Contours between four parts of an image, weaker and stronger, with noise."""
    h, w = shape
    contours = np.zeros(shape)
    contours[:, w // 2] = 0.6
    contours[h // 3, : w // 2] = 0.4
    y, x = np.indices(shape)
    contours[np.abs(np.hypot(y - h * 0.6, x - w * 0.75) - h / 4) < 0.7] = 0.5
    noise = np.random.default_rng(0).random(shape)
    return np.clip(ndimage.gaussian_filter(contours, 0.7) + 0.03 * noise, 0, 1)


def angles(one, other):
    """Principal angles of the spaces of two sets of vectors, degrees, falling."""
    return np.degrees(linalg.subspace_angles(*(vectors.reshape(len(vectors), -1).T for vectors in (one, other))))


@pytest.mark.parametrize(("shape", "radius"), [((6, 9), 5), ((7, 4), 2.5), ((1, 8), 3), ((2, 2), 5), ((1, 1), 5)])
def test_affinities_are_those_of_a_loop(shape, radius):
    contours = np.random.default_rng(1).random(shape)
    found = kv.proposals.intervening_contours(contours, radius, 0.3).toarray()
    n = contours.size
    naive = np.eye(n)
    for a in range(n):
        for b in range(a + 1, n):
            (ya, xa), (yb, xb) = divmod(a, shape[1]), divmod(b, shape[1])
            if (ya - yb) ** 2 + (xa - xb) ** 2 <= radius**2:
                dy, dx = line(0, 0, yb - ya, xb - xa)
                naive[a, b] = naive[b, a] = np.exp(-contours[ya + dy, xa + dx].max() / 0.3)
    np.testing.assert_allclose(found, naive, atol=1e-12)


def test_without_decimation_it_is_scipys_dense_solution():
    contours = scene((10, 12))
    values, vectors = kv.proposals.normalized_cuts(contours, 5, steps=0)
    affinity = kv.proposals.intervening_contours(contours).toarray()
    degrees = np.diag(affinity.sum(1))
    exact, basis = linalg.eigh(degrees - affinity, degrees, subset_by_index=(0, 5))
    assert abs(exact[0]) < 1e-9
    np.testing.assert_allclose(values, exact[1:], atol=1e-7)
    assert angles(vectors, (basis[:, 1:] - basis[:, 1:].mean(0)).T).max() < 0.01


def test_vectors_are_white():
    _, vectors = kv.proposals.normalized_cuts(scene(), 6)
    flat = vectors.reshape(6, -1)
    np.testing.assert_allclose(flat.mean(1), 0, atol=1e-9)
    np.testing.assert_allclose(flat @ flat.T / flat.shape[1], np.eye(6), atol=1e-9)
    values = np.random.default_rng(0).normal(size=(50, 3)) * (1, 1e-8, 1e5)
    np.testing.assert_allclose(np.cov(whitened(values).T, bias=True), np.eye(3), atol=1e-9)


def test_the_fast_vectors_span_the_space_of_the_exact_ones():
    contours = scene()
    exact, slow = kv.proposals.normalized_cuts(contours, 10, steps=0)
    assert (np.diff(exact) >= -1e-9).all()
    for steps, bound, tolerance in ((1, 3, 0.02), (2, 6, 0.05)):  # degrees, and of the quotients
        quotients, fast = kv.proposals.normalized_cuts(contours, 10, steps=steps)
        assert angles(fast, slow).max() < bound
        np.testing.assert_allclose(quotients, exact, rtol=tolerance)


def test_vectors_of_nearly_equal_eigenvalues_may_be_swapped_at_the_cut_off():
    """The 8th and 9th are 0.0458 and 0.0464: eight exact vectors lie in the space of ten fast ones."""
    contours = scene()
    _, slow = kv.proposals.normalized_cuts(contours, 8, steps=0)
    assert angles(kv.proposals.normalized_cuts(contours, 8)[1], slow)[1:].max() < 6
    assert angles(kv.proposals.normalized_cuts(contours, 10)[1], slow).max() < 6


def test_the_first_vector_divides_a_divided_image():
    contours = np.zeros((20, 30))
    contours[:, 12] = 1
    _, vectors = kv.proposals.normalized_cuts(contours, 1)
    left, right = vectors[0, :, :11], vectors[0, :, 14:]
    assert left.std() < 0.1
    assert right.std() < 0.1
    assert abs(left.mean() - right.mean()) > 1.5


def test_settings_and_sizes_out_of_range():
    with pytest.raises(KerasVisionError, match=r"16 vectors of \(2, 2\) pixels, 1 of them left after 2 steps"):
        kv.proposals.normalized_cuts(np.zeros((2, 2)))
    with pytest.raises(KerasVisionError, match="count=0, steps=2"):
        kv.proposals.normalized_cuts(np.zeros((9, 9)), 0)
    with pytest.raises(KerasVisionError, match="nan in row 0, column 0"):
        kv.proposals.normalized_cuts(np.full((9, 9), np.nan), 2)
    with pytest.raises(KerasVisionError, match=r"radius=0\.5, sigma=0\.1"):
        kv.proposals.intervening_contours(np.zeros((9, 9)), 0.5)
    with pytest.raises(KerasVisionError, match="sigma=0"):
        kv.proposals.intervening_contours(np.zeros((9, 9)), 5, 0)
    with pytest.raises(KerasVisionError, match=r"\(5000, 8000\) pixels; at most 1048576"):
        kv.proposals.intervening_contours(np.broadcast_to(np.float32(0), (5000, 8000)))
    with pytest.raises(KerasVisionError, match="span fewer dimensions"):
        whitened(np.ones((9, 2)) * np.arange(9)[:, None])


def test_a_constant_map_has_vectors():
    values, vectors = kv.proposals.normalized_cuts(np.zeros((24, 30)), 2)
    assert np.isfinite(vectors).all()
    assert (values > 0).all()

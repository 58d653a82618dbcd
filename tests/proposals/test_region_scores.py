"""Region scores against naive loops over pixels and pairs, scikit-learn, scikit-image and published human figures."""

import itertools

import numpy as np
import pytest
from skimage.metrics import variation_of_information as skimage_variation
from sklearn.metrics import rand_score

import keras_vision as kv
from keras_vision.data import bsds500, unpack
from keras_vision.errors import KerasVisionError


@pytest.fixture(scope="module")
def berkeley_regions(shared, tmp_path_factory):
    return bsds500(unpack(shared / "data/bsds500/bsds500.tar.gz", tmp_path_factory.mktemp("bsds") / "BSDS500"), "test")


@pytest.fixture(scope="module")
def drawn():
    """Regions of 9 x 7 pixels with numbers that have gaps, and those of three people."""
    rng = np.random.default_rng(3)
    return rng.choice([0, 3, 4, 9], (9, 7)), rng.choice([1, 2, 7], (3, 9, 7))


def naive_covering(segmentation, person):
    total = 0.0
    for number in np.unique(person):
        region = person == number
        overlaps = []
        for other in np.unique(segmentation):
            candidate = segmentation == other
            overlaps.append((region & candidate).sum() / (region | candidate).sum())
        total += region.sum() * max(overlaps)
    return total / person.size


def naive_rand(segmentation, person):
    pairs = list(itertools.combinations(range(person.size), 2))
    a, b = segmentation.ravel(), person.ravel()
    return sum((a[i] == a[j]) == (b[i] == b[j]) for i, j in pairs) / len(pairs)


def test_covering_is_that_of_a_loop_over_masks(drawn):
    segmentation, people = drawn
    assert kv.proposals.covering(segmentation, people) == pytest.approx(
        np.mean([naive_covering(segmentation, person) for person in people]), abs=1e-12
    )


def test_the_rand_index_is_that_of_a_loop_over_pairs_and_of_scikit_learn(drawn):
    segmentation, people = drawn
    found = kv.proposals.probabilistic_rand_index(segmentation, people)
    assert found == pytest.approx(np.mean([naive_rand(segmentation, person) for person in people]), abs=1e-12)
    assert found == pytest.approx(np.mean([rand_score(p.ravel(), segmentation.ravel()) for p in people]), abs=1e-12)


def test_the_probabilistic_rand_index_weighs_a_pair_by_the_people_who_put_it_together(drawn):
    segmentation, people = drawn
    a, b = segmentation.ravel(), people.reshape(3, -1)
    terms = []
    for i, j in itertools.combinations(range(a.size), 2):
        together = (b[:, i] == b[:, j]).mean()
        terms.append(together if a[i] == a[j] else 1 - together)
    assert kv.proposals.probabilistic_rand_index(segmentation, people) == pytest.approx(np.mean(terms), abs=1e-12)


def test_the_variation_of_information_is_scikit_images(drawn):
    segmentation, people = drawn
    each = [sum(skimage_variation(person, segmentation)) for person in people]
    assert kv.proposals.variation_of_information(segmentation, people) == pytest.approx(np.mean(each), abs=1e-12)


def test_scores_by_hand():
    halves, whole = np.repeat([[1, 2]], 4, 0), np.ones((4, 2), int)
    assert kv.proposals.covering(halves, whole) == 0.5  # the best half of the whole
    assert kv.proposals.covering(whole, halves) == 0.5
    assert kv.proposals.variation_of_information(halves, whole) == 1  # one bit
    assert kv.proposals.probabilistic_rand_index(halves, whole) == pytest.approx(12 / 28)
    for scores in (kv.proposals.covering, kv.proposals.probabilistic_rand_index):
        assert scores(halves, 9 - halves) == 1  # numbers do not matter
    assert kv.proposals.variation_of_information(halves, 9 - halves) == 0
    assert kv.proposals.probabilistic_rand_index([[5]], [[1]]) == 1


def test_covering_is_not_symmetric():
    thirds = np.array([[1, 1, 1, 1, 2, 3]])
    whole = np.ones((1, 6), int)
    assert kv.proposals.covering(thirds, whole) == pytest.approx(4 / 6)
    assert kv.proposals.covering(whole, thirds) == pytest.approx((4 * 4 / 6 + 2 / 6) / 6)


def test_some_real_people_agree_on_regions(berkeley_regions):
    found = kv.proposals.human_region_consistency([berkeley_regions.segmentations(i) for i in range(0, 100, 25)])
    assert 0.6 < found.covering.mean() < 0.85
    assert 0.8 < found.rand.mean() < 0.95
    assert 0.7 < found.variation.mean() < 1.5
    people = berkeley_regions.segmentations(25)
    pairs = list(itertools.permutations(people, 2))
    assert found.pairs[1] == len(pairs)
    for mine, score in (
        (found.covering, kv.proposals.covering),
        (found.rand, kv.proposals.probabilistic_rand_index),
        (found.variation, kv.proposals.variation_of_information),
    ):
        assert mine[1] == pytest.approx(np.mean([score(*pair) for pair in pairs]))


@pytest.mark.slow
def test_the_published_human_consistency_of_regions(berkeley_regions):
    """Table 2 of Arbelaez et al., 2011, of 200 test images; here are 100 of them."""
    found = kv.proposals.human_region_consistency(berkeley_regions)
    assert found.covering.mean() == pytest.approx(0.72, abs=0.01)
    assert found.rand.mean() == pytest.approx(0.88, abs=0.01)
    assert found.variation.mean() == pytest.approx(1.17, abs=0.03)


def test_what_regions_cannot_be():
    good = np.ones((2, 3), int)
    with pytest.raises(KerasVisionError, match=r"a segmentation of \(2, 3\) pixels, people's of \(3, 2\)"):
        kv.proposals.covering(good, good.T)
    with pytest.raises(KerasVisionError, match=r"type float64; expected integers \(h, w\)"):
        kv.proposals.variation_of_information(good / 1, good)
    with pytest.raises(KerasVisionError, match=r"what people drew: shape \(0, 2, 3\).*\(people, h, w\)"):
        kv.proposals.probabilistic_rand_index(good, np.zeros((0, 2, 3), int))
    with pytest.raises(KerasVisionError, match="no images"):
        kv.proposals.human_region_consistency([])
    with pytest.raises(KerasVisionError, match="one person annotated image 1; consistency takes two"):
        kv.proposals.human_region_consistency([good[None].repeat(2, 0), good[None]])

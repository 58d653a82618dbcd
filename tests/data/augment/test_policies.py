"""Policies of tf-models-official, against its own functions. They need it, and are slow: by hand, and in .ci/run."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_vision import KerasVisionError
from keras_vision.data import augment
from keras_vision.data.augment.policies import OPERATIONS

pytestmark = pytest.mark.slow

SIGNIFICANT = 1e-3
POLICIES = ("v0", "reduced_imagenet", "reduced_cifar10", "svhn", "vit", "simple", "test", "panoptic_deeplab_policy")


@pytest.fixture
def official():
    return pytest.importorskip("official.vision.ops.augment")


def _images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 20, 24, 3)).astype(np.float32)


def _mapped(change, images):
    seeds = np.random.default_rng(1).integers(0, 2**31, (len(images), 2)).astype(np.int32)
    return seeds, [*tf.data.Dataset.from_tensor_slices((images, seeds)).map(change).as_numpy_iterator()]


@pytest.mark.parametrize("name", [*POLICIES, None])
def test_the_same_eagerly_and_in_a_map(name, official):
    small = dict(cutout_const=10, translate_const=8)
    change = augment.rand_augment(**small) if name is None else augment.auto_augment(name, **small)
    images = _images(30)
    seeds, mapped = _mapped(change, images)
    for image, seed, expected in [*zip(images, seeds, mapped, strict=True)][:8]:
        np.testing.assert_array_equal(change(tf.constant(image), tf.constant(seed)), expected)
    assert sum(not np.array_equal(image, result) for image, result in zip(images, mapped, strict=True)) > 5


def _reachable(official, sub_policies, image, translate_const):
    """All results of a policy by their own functions: each sub-policy, operations applied or not, each direction."""
    results = set()
    for part in sub_policies:
        for applied in itertools.product([False, True], repeat=len(part)):
            names = [(name, level) for (name, _, level), take in zip(part, applied, strict=True) if take]
            for signs in itertools.product([-1, 1], repeat=len(names)):
                pixels = tf.constant(image, tf.uint8)
                for (name, level), sign in zip(names, signs, strict=True):
                    pixels = _by_hand(official, name, level, sign, pixels, translate_const)
                results.add(pixels.numpy().tobytes())
    return results


def _by_hand(official, name, level, sign, pixels, translate_const):
    grey = [128, 128, 128]
    return {
        "Equalize": lambda: official.equalize(pixels),
        "AutoContrast": lambda: official.autocontrast(pixels),
        "Invert": lambda: official.invert(pixels),
        "Rotate": lambda: official.wrapped_rotate(pixels, sign * level * 3.0, grey),
        "ShearX": lambda: official.shear_x(pixels, sign * level * 0.03, grey),
        "ShearY": lambda: official.shear_y(pixels, sign * level * 0.03, grey),
        "TranslateX": lambda: official.translate_x(pixels, sign * level / 10 * translate_const, grey),
        "TranslateY": lambda: official.translate_y(pixels, sign * level / 10 * translate_const, grey),
        "Color": lambda: official.color(pixels, level * 0.18 + 0.1),
        "Posterize": lambda: official.posterize(pixels, int(level * 0.4)),
        "Solarize": lambda: official.solarize(pixels, int(level / 10 * 256)),
        "SolarizeAdd": lambda: official.solarize_add(pixels, int(level / 10 * 110)),
    }[name]()


def test_auto_augment_gives_what_their_functions_can_give_and_all_of_it(official):
    """Two sub-policies of v0 and one with translations; every combination comes, at its rate."""
    policy = [[("Color", 0.4, 1), ("Rotate", 0.6, 8)], [("TranslateX", 0.5, 5), ("Solarize", 0.5, 4)]]
    image = _images(1)[0]
    expected = _reachable(official, policy, image, 8)
    results = _mapped(augment.auto_augment(policy, translate_const=8), np.stack([image] * 600))[1]
    assert {result.astype(np.uint8).tobytes() for result in results} == expected
    untouched = sum(np.array_equal(result, image) for result in results)
    assert stats.binomtest(untouched, 600, (0.6 * 0.4 + 0.5 * 0.5) / 2).pvalue > SIGNIFICANT


def test_v0_gives_only_what_their_functions_can_give(official):
    image = _images(1)[0]
    expected = _reachable(official, official.AutoAugment.policy_v0(), image, 8)
    results = _mapped(augment.auto_augment("v0", translate_const=8), np.stack([image] * 100))[1]
    assert {result.astype(np.uint8).tobytes() for result in results} <= expected


def test_rand_augment_draws_each_operation_or_none_as_often(official):
    """At magnitude 6, and without four of the operations, each result of one operation is another."""
    left_out = ("AutoContrast", "Cutout", "Brightness", "Contrast", "Sharpness")
    image = _images(1)[0]
    every = {
        name: [
            _by_hand(official, name, 6, sign, tf.constant(image, tf.uint8), 10).numpy().tobytes() for sign in (-1, 1)
        ]
        for name in OPERATIONS
        if name not in left_out
    }
    change = augment.rand_augment(1, 6.0, translate_const=10, exclude=left_out)
    results = [result.astype(np.uint8).tobytes() for result in _mapped(change, np.stack([image] * 1200))[1]]
    counts = [sum(result in same for result in results) for same in every.values()]
    counts.append(results.count(image.astype(np.uint8).tobytes()))
    assert sum(counts) == 1200
    assert stats.chisquare(counts).pvalue > SIGNIFICANT


def test_cutout_is_as_large_as_theirs(official):
    change = augment.auto_augment([[("Cutout", 1.0, 10)]], cutout_const=3)
    hidden = [(result == 128).all(-1) for result in _mapped(change, np.zeros((50, 20, 24, 3), np.float32))[1]]
    assert max(mask.sum() for mask in hidden) == 36
    assert (np.ptp(np.nonzero(hidden[0]), 1) < 6).all()


@pytest.mark.parametrize(("name", "moves"), [("v0", True), ("vit", False), ("panoptic_deeplab_policy", False)])
def test_policies_know_whether_they_move_pixels(name, moves, official):
    assert augment.auto_augment(name).moves_pixels == moves
    still = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
    assert augment.rand_augment().moves_pixels
    assert not augment.rand_augment(exclude=still).moves_pixels


@pytest.mark.parametrize(("call", "message"), [
    (lambda: augment.auto_augment("v7"), "policy='v7'; accepted: v0, "),
    (lambda: augment.auto_augment("detection_v0"), "policy='detection_v0'"),
    (lambda: augment.auto_augment("deit3_three_augment"), "policy='deit3_three_augment'"),
    (lambda: augment.auto_augment([]), "no sub-policy"),
    (lambda: augment.auto_augment([[("Blur", 0.5, 1)]]), "operation 'Blur'; accepted: AutoContrast"),
    (lambda: augment.auto_augment([[("Rotate", 0.5, 11)]]), "level 11 of Rotate"),
    (lambda: augment.auto_augment([[("Rotate", 1.5, 1)]]), r"Rotate=1\.5 is a probability"),
    (lambda: augment.auto_augment(cutout_const=-1), "cutout_const=-1"),
    (lambda: augment.rand_augment(layers=0), "layers=0"),
    (lambda: augment.rand_augment(magnitude=-1), "level -1 of"),
    (lambda: augment.rand_augment(rate=2), "rate=2"),
    (lambda: augment.rand_augment(exclude=["Blur"]), r"exclude has \['Blur'\]"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(call, message, official):
    with pytest.raises(KerasVisionError, match=message):
        call()

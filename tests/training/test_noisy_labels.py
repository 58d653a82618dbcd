"""Labels that are wrong on purpose."""

import dataclasses

import numpy as np
import pytest
from small_data import class_folders

from keras_vision.errors import KerasVisionError
from keras_vision.training import find_recipe, noisy_labels
from keras_vision.training.recipes import building
from keras_vision.training.recipes.data_sets import training_and_validation


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5, 0.7])
def test_a_share_becomes_any_of_the_other_classes(noise):
    labels = np.repeat(np.arange(10), 5000)
    noisy = noisy_labels(labels, 10, noise, seed=3)
    changed = noisy != labels
    assert changed.mean() == pytest.approx(noise, abs=0.01)
    shares = np.bincount((noisy - labels)[changed] % 10, minlength=10) / changed.sum()
    assert shares[0] == 0
    np.testing.assert_allclose(shares[1:], 1 / 9, atol=0.01)
    assert noisy.dtype == labels.dtype
    np.testing.assert_array_equal(noisy, noisy_labels(labels, 10, noise, seed=3))
    assert (noisy != noisy_labels(labels, 10, noise, seed=4)).any()


def test_no_noise_leaves_labels_alone():
    labels = np.array([0, 0, 0])
    np.testing.assert_array_equal(noisy_labels(labels, 1, 0.0), labels)


@pytest.mark.parametrize(("classes", "noise"), [(10, 1.0), (10, -0.1), (10, float("nan")), (1, 0.5)])
def test_noise_that_cannot_be_is_named(classes, noise):
    with pytest.raises(KerasVisionError, match=f"noise={noise} in {classes} classes"):
        noisy_labels(np.array([0, 0]), classes, noise)


def test_a_recipe_changes_training_labels_alone(tmp_path):
    parts = training_and_validation(class_folders(tmp_path / "noise"))
    recipe = find_recipe("residual-attention-92-cifar-noise")
    assert recipe.label_noise == 0.1
    training, validation = building.with_noise(dataclasses.replace(recipe, label_noise=0.5), parts)
    assert 0.2 < np.mean(training.labels != parts[0].labels) < 0.8
    np.testing.assert_array_equal(validation.labels, parts[1].labels)
    assert building.with_noise(find_recipe("resnet-20-cifar"), parts) is parts

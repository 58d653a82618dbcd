"""Kernel weights and penalties that marginals were made with are found again by gradient descent."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.layers import DenseCRF
from keras_vision.ops import Bilateral, Gaussian, Potts, dense_crf

KERNELS = (Bilateral(1.0, 15.3, 40.0), Gaussian(1.0, 2.0))
PENALTIES = np.array([[0.0, 1.5, 0.3], [0.8, 0.0, 1.2], [0.2, 1.0, 0.0]], np.float32)  # not symmetric


def scene(n=4, height=20, width=24, labels=3):
    """Logits that point, weakly, at regions of the image, and the image."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    region = (x[None] + rng.integers(0, 9, (n, 1, 1)) > 12).astype(int) + (y[None] > rng.integers(6, 14, (n, 1, 1)))
    image = np.array([[220.0, 40, 60], [50, 180, 90], [60, 70, 200]])[region] + rng.normal(0, 12, (n, height, width, 3))
    logits = np.eye(labels)[region] + rng.normal(0, 1.2, (n, height, width, labels))
    return logits.astype(np.float32), image.astype(np.float32), rng


def train(layer, logits, image, annotation, steps):
    """Losses: cross-entropy of the layer's marginals."""
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, steps))
    layer.build([logits.shape, image.shape])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            marginals = layer([logits, image], training=True)
            loss = -tf.reduce_mean(tf.reduce_sum(annotation * tf.math.log(marginals + 1e-7), -1))
        weights = layer.trainable_variables
        optimizer.apply(tape.gradient(loss, [weight.value for weight in weights]), weights)
        return loss

    return [float(step()) for _ in range(steps)]


@pytest.mark.parametrize("keep", [False, True])
def test_potts_model_is_found_from_its_marginals(keep):
    logits, image, _ = scene()
    planted = np.array([0.9, 0.5], np.float32)
    annotation = dense_crf(logits, image, kernels=KERNELS, kernel_weights=planted, iterations=4, impl="custom")
    start = (Bilateral(0.2, 15.3, 40.0), Gaussian(1.5, 2.0))
    layer = DenseCRF(start, Potts(), 4, impl="custom", keep=keep, train_penalties=False)
    losses = train(layer, logits, image, annotation, 200)
    entropy = -np.sum(annotation * np.log(annotation + 1e-7), -1).mean()
    assert losses[-1] - entropy < 0.01 * (losses[0] - entropy)
    np.testing.assert_allclose(layer.kernel_weights, planted, rtol=0.05)


def test_weights_are_found_from_sampled_labels():
    """From kernels of weight 0. As much as 6,000 labels tell: how strong the kernels are together, not each alone."""
    logits, image, rng = scene(12)
    options = dict(iterations=3, impl="custom")
    marginals = dense_crf(logits, image, kernels=KERNELS, kernel_weights=[0.5, 0.6], **options).numpy()
    labels = (marginals.cumsum(-1) < rng.uniform(size=(*marginals.shape[:3], 1))).sum(-1).clip(0, 2)
    annotation = tf.one_hot(labels, 3)
    planted = -np.log(np.take_along_axis(marginals, labels[..., None], -1) + 1e-7).mean()
    layer = DenseCRF((Bilateral(0.0, 15.3, 40.0), Gaussian(0.0, 2.0)), **options, train_penalties=False)
    losses = train(layer, logits, image, annotation, 200)
    assert losses[-1] < losses[0] - 0.005
    assert losses[-1] <= planted + 1e-4  # the best weights for a sample fit it no worse than those it is drawn from
    assert sum(layer.kernel_weights.numpy()) == pytest.approx(1.1, abs=0.1)


def test_penalty_of_potts_is_found():
    logits, image, _ = scene()
    options = dict(kernels=KERNELS, iterations=3, impl="custom")
    annotation = dense_crf(logits, image, compatibility=0.4, **options)
    layer = DenseCRF(**options, train_kernel_weights=False)
    losses = train(layer, logits, image, annotation, 200)
    assert losses[-1] < losses[0]
    assert float(layer.penalties) == pytest.approx(0.4, rel=0.02)


def test_penalties_are_found_from_potts():
    """Up to what no marginals tell: a number added to a column is one that every label pays."""
    logits, image, _ = scene()
    options = dict(kernels=KERNELS, iterations=3, impl="custom")
    annotation = dense_crf(logits, image, compatibility=PENALTIES, **options)
    layer = DenseCRF(**options, compatibility=Potts().matrix(3), train_kernel_weights=False)
    losses = train(layer, logits, image, annotation, 200)
    entropy = -np.sum(annotation * np.log(annotation + 1e-7), -1).mean()
    assert losses[-1] - entropy < 0.02 * (losses[0] - entropy)
    found, planted = (matrix - matrix.mean(0) for matrix in (np.asarray(layer.penalties.numpy()), PENALTIES))
    np.testing.assert_allclose(found, planted, atol=0.1)

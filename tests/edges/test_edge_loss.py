"""The class-balanced loss, against a loop over pixels and finite differences."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision import KerasVisionError
from keras_vision.edges import HED, BalancedEdgeLoss, deep_supervision, with_output


def naive(drawn, logits, agree=0.5):
    """Of one image: the loss, and how many pixels count."""
    kinds = {"edge": [], "none": []}
    for share, logit in zip(np.ravel(drawn), np.ravel(logits), strict=True):
        p = 1 / (1 + math.exp(-float(logit)))
        if agree <= share <= 1:
            kinds["edge"].append(-math.log(p))
        elif share == 0:
            kinds["none"].append(-math.log(1 - p))
    counted = len(kinds["edge"]) + len(kinds["none"])
    if not counted:
        return 0.0, 0
    beta = len(kinds["none"]) / counted
    return beta * sum(kinds["edge"]) + (1 - beta) * sum(kinds["none"]), counted


@pytest.fixture
def maps():
    """Targets of three images with labels to be left out, and logits."""
    rng = np.random.default_rng(0)
    drawn = rng.choice([0.0, 0.0, 0.2, 0.4, 0.6, 1.0, 2.0, 255.0, -1.0], (3, 6, 7)).astype("float32")
    return drawn, rng.normal(0, 3, (3, 6, 7, 1)).astype("float32")


@pytest.mark.parametrize("agree", [0.2, 0.5, 1.0])
def test_equals_a_loop_over_pixels(maps, agree):
    drawn, logits = maps
    expected, counted = zip(*(naive(d, z, agree) for d, z in zip(drawn, logits, strict=True)), strict=True)
    assert min(counted) >= 10
    loss = BalancedEdgeLoss(agree, reduction=None)
    np.testing.assert_allclose(loss(drawn, logits), expected, rtol=1e-5)
    np.testing.assert_allclose(loss(drawn[..., None], logits), expected, rtol=1e-5)
    assert float(BalancedEdgeLoss(agree)(drawn, logits)) == pytest.approx(np.mean(expected), rel=1e-5)
    normalized = BalancedEdgeLoss(agree, normalize=True, reduction=None)
    np.testing.assert_allclose(normalized(drawn, logits), np.divide(expected, counted), rtol=1e-5)


def test_labels_of_one_annotation_may_be_integers(maps):
    labels = np.random.default_rng(1).choice([0, 0, 0, 1, 2], (3, 6, 7)).astype("uint8")
    expected = [naive(d, z)[0] for d, z in zip(labels, maps[1], strict=True)]
    np.testing.assert_allclose(BalancedEdgeLoss(reduction=None)(labels, maps[1]), expected, rtol=1e-5)


def test_gradient_equals_finite_differences(maps):
    drawn, logits = maps
    z = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = BalancedEdgeLoss()(drawn, z)
    gradient = tape.gradient(loss, z).numpy()
    for i, j, k in [(0, 0, 0), (1, 2, 3), (2, 5, 6), (1, 4, 4), (0, 3, 5)]:
        sides = []
        for step in (1e-3, -1e-3):
            moved = logits.astype("float64")
            moved[i, j, k] += step
            sides.append(sum(naive(d, m)[0] for d, m in zip(drawn, moved, strict=True)) / 3)
        assert gradient[i, j, k, 0] == pytest.approx((sides[0] - sides[1]) / 2e-3, abs=1e-5)
    assert not gradient[..., 0][(drawn != 0) & ((drawn < 0.5) | (drawn > 1))].any()


@pytest.mark.parametrize("value", [0.0, 0.3, 255.0])
@pytest.mark.parametrize("normalize", [False, True])
def test_nothing_drawn_or_all_left_out_is_zero_with_zero_gradients(value, normalize):
    z = tf.Variable(np.full((2, 4, 5, 1), 3.0, "float32"))
    with tf.GradientTape() as tape:
        loss = BalancedEdgeLoss(normalize=normalize)(np.full((2, 4, 5), value, "float32"), z)
    assert float(loss) == 0
    assert not tape.gradient(loss, z).numpy().any()


def test_one_image_of_edges_alone_is_zero_too_and_leaves_the_others_alone(maps):
    drawn, logits = maps[0].copy(), maps[1]
    drawn[1] = 1
    loss = BalancedEdgeLoss(reduction=None)(drawn, logits).numpy()
    assert loss[1] == 0
    assert loss[0] == pytest.approx(naive(drawn[0], logits[0])[0], rel=1e-5)


def test_large_logits_stay_finite():
    drawn = np.array([[[0, 1, 1, 0]]], "float32")
    logits = np.array([[[-1e4, 1e4, -1e4, 1e4]]], "float32")[..., None]
    assert float(BalancedEdgeLoss()(drawn, logits)) == pytest.approx(1e4)  # two wrong, each weighs a half


@pytest.mark.parametrize(("drawn", "logits"), [
    ((2, 4, 5), (2, 5, 4, 1)), ((2, 4, 5, 3), (2, 4, 5, 1)), ((2, 4, 5), (2, 4, 5, 2)), ((2, 4), (2, 4, 5, 1)),
])  # fmt: skip
def test_other_shapes_are_refused(drawn, logits):
    with pytest.raises(KerasVisionError, match="one target and one logit for each pixel"):
        BalancedEdgeLoss()(np.zeros(drawn, "float32"), np.zeros(logits, "float32"))


@pytest.mark.parametrize("agree", [0, -0.1, 1.5])
def test_a_share_that_is_none_is_refused(agree):
    with pytest.raises(KerasVisionError, match="agree="):
        BalancedEdgeLoss(agree)


def test_survives_its_config():
    loss = BalancedEdgeLoss(0.3, normalize=True)
    twin = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (twin.agree, twin.normalize, twin.name) == (0.3, True, "balanced_edge_loss")


def test_deep_supervision_sums_the_losses_of_all_outputs(randomize):
    model = randomize(HED(trunk="SqueezeNetV1_1", output="all"))
    rng = np.random.default_rng(0)
    images = rng.normal(0, 2, (4, 40, 48, 3)).astype("float32")
    drawn = rng.choice([0.0, 0.0, 0.4, 1.0], (4, 40, 48)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((images, drawn)).batch(2)
    model.compile("sgd", BalancedEdgeLoss(normalize=True), jit_compile=False)
    found = model.evaluate(deep_supervision(model, batches), return_dict=True, verbose=0)
    logits = model.predict(images, verbose=0)
    parts = {k: np.mean([np.divide(*naive(d, x)) for d, x in zip(drawn, z, strict=True)]) for k, z in logits.items()}
    for name, part in parts.items():
        assert found[f"{name}_loss"] == pytest.approx(part, rel=1e-4)
    assert found["loss"] == pytest.approx(sum(parts.values()), rel=1e-4)
    single = with_output(model, "fuse")
    assert deep_supervision(single, batches) is batches

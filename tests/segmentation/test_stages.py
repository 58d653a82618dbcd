"""From coarse to fine, fixed layers, two streams, shifted inputs."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.segmentation import (
    FCN8s,
    FCN16s,
    FCN32s,
    initialise_from,
    late_fusion,
    shift_and_stitch,
    train_only,
)

SMALL = dict(backbone="VGG11", classes=5, fc=8)


def images(height, width, channels=3):
    return np.random.default_rng(height + width).normal(0, 1, (1, height, width, channels)).astype("float32")


def test_a_finer_network_starts_as_the_coarser_one(randomize):
    """What is new adds nothing at first: but for the upsampling in two steps, 16s gives what 32s gave, and 8s 16s."""
    coarse = randomize(FCN32s(geometry="same", **SMALL))
    fine = FCN16s(geometry="same", **SMALL)
    report = initialise_from(fine, coarse)
    assert report.missing == ("upscore2/kernel", "score_pool4/kernel", "score_pool4/bias")
    assert (report.unexpected, report.mismatched) == ((), ())
    x = images(64, 96)
    assert np.abs(fine(x) - coarse(x)).mean() < 0.01 * np.ptp(coarse(x))
    fine.get_layer("score_pool4").kernel.assign_add(np.full((1, 1, 512, 5), 0.01))
    finest = FCN8s(geometry="same", **SMALL)
    assert "score_pool4/kernel" in initialise_from(finest, fine).loaded
    assert np.abs(finest(x) - fine(x)).mean() < 0.01 * np.ptp(fine(x))


def test_networks_without_a_common_layer_are_an_error():
    with pytest.raises(KerasVisionError, match="no layer of one name"):
        initialise_from(FCN32s(**SMALL), FCN32s(**{**SMALL, "backbone": "ResNet20CIFAR", "classes": 4}))


def test_the_fixed_arm_trains_its_scores_alone(randomize):
    model = train_only(randomize(FCN32s(**SMALL)), "score")
    assert [w.path for w in model.trainable_weights] == ["score_fr/kernel", "score_fr/bias"]
    assert model.card.trainable_parameters == 8 * 5 + 5
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    before = model.get_layer("conv1_1").kernel.numpy(), model.get_layer("score_fr").kernel.numpy()
    model.train_on_batch(images(20, 20), np.arange(400).reshape(1, 20, 20) % 5)
    np.testing.assert_array_equal(model.get_layer("conv1_1").kernel, before[0])
    assert np.abs(model.get_layer("score_fr").kernel - before[1]).max() > 0
    with pytest.raises(KerasVisionError, match=r"begins with \('fc9',\); its layers: conv1_1"):
        train_only(FCN32s(**SMALL), "fc9")


def test_late_fusion_sums_the_logits_of_two_images(randomize, tmp_path):
    colour = randomize(FCN32s(name="rgb", **SMALL))
    depth = randomize(FCN32s(name="hha", **{**SMALL, "backbone": "ResNet18"}), seed=1)
    model = late_fusion(colour, depth)
    a, b = images(40, 50), images(40, 50)[:, ::-1]
    np.testing.assert_allclose(model([a, b]), colour(a) + depth(b), rtol=1e-5)
    assert [tensor.name for tensor in model.inputs] == ["rgb_image", "hha_image"]
    assert model.card.parameters == model.count_params()
    assert len(model.trainable_weights) == len(colour.trainable_weights) + len(depth.trainable_weights)
    model.save(tmp_path / "fused.keras")
    loaded = keras.saving.load_model(tmp_path / "fused.keras")
    np.testing.assert_array_equal(loaded([a, b]), model([a, b]))
    assert loaded.card == model.card


def test_late_fusion_of_several_outputs(randomize):
    heads = {"a": 2, "b": 3}
    one, two = (randomize(FCN32s(name=n, **{**SMALL, "classes": heads}), seed=i) for i, n in enumerate("xy"))
    out = late_fusion(one, two)([images(20, 20), images(20, 20)])
    for head in heads:
        np.testing.assert_allclose(out[head], one(images(20, 20))[head] + two(images(20, 20))[head], rtol=1e-5)


def test_what_cannot_be_fused_is_an_error():
    with pytest.raises(KerasVisionError, match="both networks are called fcn32s"):
        late_fusion(FCN32s(**SMALL), FCN32s(**SMALL))
    with pytest.raises(KerasVisionError, match="gives 5 classes and other 4"):
        late_fusion(FCN32s(**SMALL), FCN32s(name="other", **{**SMALL, "classes": 4}))


def small_network():
    """Convolutions and poolings without padding, a cell for every 8 pixels."""
    x = image = keras.Input((None, None, 3))
    for number, filters in enumerate((8, 12, 16), 1):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D(2, 2, name=f"pool{number}")(x)
    return keras.Model(image, layers.Conv2D(5, 2, name="score")(x))


@pytest.mark.parametrize("output_stride", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(61, 61), (64, 75)])
def test_shift_and_stitch_gives_what_holes_give(output_stride, size, randomize):
    model = randomize(small_network())
    dense = graph.dilate(model, output_stride)
    dense.set_weights(model.get_weights())
    x = images(*size)
    stitched, expected = shift_and_stitch(model, x, 8, output_stride), np.asarray(dense(x))
    assert stitched.shape == expected.shape
    assert np.abs(stitched - expected).max() <= 1e-4 * np.ptp(expected)
    assert np.ptp(expected) > 0.1


def test_what_cannot_be_stitched_is_an_error():
    with pytest.raises(KerasVisionError, match="stride=8 is no multiple of output_stride=3"):
        shift_and_stitch(lambda x: x, images(20, 20), 8, 3)
    with pytest.raises(KerasVisionError, match="give a batch"):
        shift_and_stitch(lambda x: x, images(20, 20)[0], 8)

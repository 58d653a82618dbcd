"""Arrays of PyTorch and Caffe in Keras' order: against a forward written in NumPy with channels first."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_vision as kv
from keras_vision.errors import WeightsError
from keras_vision.weights import from_channels_first, load, load_pretrained, reverse_channels
from keras_vision.weights.pretrained import fold_biases

RNG = np.random.default_rng(0)
CONV = {"weight": RNG.normal(size=(4, 3, 3, 5)), "bias": RNG.normal(size=4)}
NORM = {"weight": RNG.uniform(1, 2, 4), "bias": RNG.normal(size=4), "running_mean": RNG.normal(size=4)}
NORM |= {"running_var": RNG.uniform(1, 2, 4)}
DENSE = {"weight": RNG.normal(size=(6, 4 * 2 * 2)), "bias": RNG.normal(size=6)}
FILE = {
    f"{module}.{variable}": array.astype("float32")
    for module, part in (("features.0", CONV), ("features.1", NORM), ("head", DENSE))
    for variable, array in part.items()
} | {"features.1.num_batches_tracked": np.array(3)}
NAMES = {"features.0": "conv1_conv", "features.1": "conv1_bn", "head": "fc6"}


def network(use_bias=True):
    image = keras.Input((4, 6, 3))
    x = layers.Conv2D(4, (3, 5), use_bias=use_bias, name="conv1_conv")(image)
    x = layers.BatchNormalization(epsilon=0, name="conv1_bn")(x)
    return keras.Model(image, layers.Dense(6, name="fc6")(layers.Flatten()(x)))


def channels_first_forward(x):
    """`(3, 4, 6)` to `(6,)`, as PyTorch and Caffe compute it."""
    maps = np.empty((4, 2, 2))
    for i in range(2):
        for j in range(2):
            maps[:, i, j] = np.tensordot(CONV["weight"], x[:, i : i + 3, j : j + 5], 3) + CONV["bias"]
    scale = NORM["weight"] / np.sqrt(NORM["running_var"])
    maps = (maps - NORM["running_mean"][:, None, None]) * scale[:, None, None] + NORM["bias"][:, None, None]
    return DENSE["weight"] @ maps.ravel() + DENSE["bias"]


IMAGE = RNG.normal(size=(4, 6, 3)).astype("float32")
EXPECTED = channels_first_forward(IMAGE.transpose(2, 0, 1))


def test_pytorchs_arrays_give_the_same_outputs():
    model = network()
    load(model, from_channels_first(FILE, NAMES, flattened={"fc6": 4}))
    np.testing.assert_allclose(model(IMAGE[None])[0], EXPECTED, rtol=1e-4)


def test_the_order_of_the_flattened_map_matters():
    model = network()
    load(model, from_channels_first(FILE, NAMES))
    assert np.abs(model(IMAGE[None])[0] - EXPECTED).max() > 0.1


def test_a_bias_before_batch_norm_is_folded_into_its_mean():
    model = network(use_bias=False)
    arrays = from_channels_first(FILE, NAMES, flattened={"fc6": 4})
    load_pretrained(model, arrays, ("fc",), ("fc6",), None, "a file")
    np.testing.assert_allclose(model(IMAGE[None])[0], EXPECTED, rtol=1e-4)
    assert set(arrays) - set(fold_biases(model, arrays)) == {"conv1_conv/bias"}


def test_caffes_blobs():
    arrays = {"a/conv.blobs.0": CONV["weight"], "a/conv.blobs.1": CONV["bias"], "ip.blobs.0": DENSE["weight"]}
    converted = from_channels_first(arrays, {"ip": "fc6", "a/conv": "conv"}, flattened={"fc6": 4})
    assert {key: array.shape for key, array in converted.items()} == {
        "conv/kernel": (3, 5, 3, 4), "conv/bias": (4,), "fc6/kernel": (16, 6),
    }  # fmt: skip
    np.testing.assert_array_equal(converted["conv/kernel"][1, 2, 0], CONV["weight"][:, 0, 1, 2])
    np.testing.assert_array_equal(converted["fc6/kernel"].reshape(2, 2, 4, 6)[1, 0, 3], DENSE["weight"][:, 3 * 4 + 2])


def test_keras_arrays_are_only_renamed():
    arrays = {"block1_conv1/kernel": CONV["weight"], "other/0": CONV["bias"]}
    converted = from_channels_first(arrays, {"block1_conv1": "conv1_1"})
    assert list(converted) == ["conv1_1/kernel", "other/0"]
    assert converted["conv1_1/kernel"] is CONV["weight"]


def test_reversed_channels_take_the_other_order_of_colours(randomize):
    model = randomize(kv.create_model("SqueezeNet", weights=None, classes=4, input_shape=(67, 67, 3)))
    pixels = RNG.integers(0, 256, (1, 67, 67, 3)).astype("float32")
    expected, before = np.asarray(model(model.preprocessing.normalize(pixels))), model.preprocessing
    reverse_channels(model)
    assert (before.color, model.preprocessing.color) == ("BGR", "RGB")
    np.testing.assert_allclose(model(model.preprocessing.normalize(pixels)), expected, atol=1e-6)
    with pytest.raises(WeightsError, match="takes L images of 1 channels"):
        reverse_channels(kv.create_model("SqueezeNet", weights=None, input_shape=(67, 67, 1)))


@pytest.mark.parametrize(("bad", "says"), [
    (np.array([np.nan, 0, 0, 0, 0, 0], "float32"), "fc6/bias holds NaN"),
    (np.array([0, -np.inf, 0, 0, 0, 0], "float32"), "NaN or infinite"),
    (np.zeros(6, "int64"), "fc6/bias holds int64"),
])  # fmt: skip
def test_what_cannot_be_weights_is_refused_and_nothing_is_copied(bad, says):
    model = network()
    before = model.get_weights()
    arrays = from_channels_first(FILE, NAMES, flattened={"fc6": 4})
    with pytest.raises(WeightsError, match=says):
        load(model, arrays | {"fc6/bias": bad})
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_only_a_batch_norm_of_caffe_is_divided():
    """A BN layer of four arrays, and a recurrent layer of three, have a third one that is no weight."""
    rng = np.random.default_rng(0)
    sums = {f"norm.blobs.{i}": rng.uniform(1, 2, 3).astype("float32") for i in (0, 1)}
    file = sums | {"norm.blobs.2": np.array([4], "float32")}
    file |= {f"bn.blobs.{i}": rng.uniform(1, 2, (1, 3, 1, 1)).astype("float32") for i in range(4)}
    file |= {f"lstm.blobs.{i}": rng.uniform(1, 2, (8, 4)).astype("float32") for i in (0, 2)}
    converted = from_channels_first(file, {})
    for position, name in enumerate(("moving_mean", "moving_variance")):
        np.testing.assert_allclose(converted[f"norm/{name}"], sums[f"norm.blobs.{position}"] / 4, rtol=1e-6)
    assert {key for key in converted if key.startswith("norm")} == {"norm/moving_mean", "norm/moving_variance"}
    np.testing.assert_array_equal(converted["bn/blobs.2"], file["bn.blobs.2"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(converted["lstm/blobs.2"], file["lstm.blobs.2"].T)

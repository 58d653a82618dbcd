"""Shake-Shake and PyramidNet with ShakeDrop: published sizes, blocks against NumPy, training."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.layers import ShakeDrop, ShakeShake

X = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype("float32")


def build(name, **arguments):
    return kv.create_model(name, weights=None, **arguments)


def outputs(model, names, x):
    return [np.asarray(y) for y in keras.Model(model.input, [model.get_layer(name).output for name in names])(x)]


# ------------------------------------------------------------------------------------------------ sizes


def conv_bn(kernel, inputs, filters):
    return kernel**2 * inputs * filters + 2 * filters


def shake_shake_parameters(width, n=4, classes=10):
    total, inputs = conv_bn(3, 3, 16), 16
    for filters in (width, 2 * width, 4 * width):
        total += conv_bn(1, inputs, filters)  # both halves of the shortcut
        for _ in range(n):
            total += 2 * (conv_bn(3, inputs, filters) + conv_bn(3, filters, filters))
            inputs = filters
    return total + (inputs + 1) * classes


def pyramid_parameters(alpha, units=54, classes=10):
    total, inputs = conv_bn(3, 3, 16), 16
    for k in range(1, units + 1):
        filters = int(np.floor(16 + alpha * k / units + 1e-9))
        total += 2 * inputs + conv_bn(3, inputs, filters) + conv_bn(3, filters, filters)
        inputs = filters
    return total + 2 * inputs + (inputs + 1) * classes


@pytest.mark.parametrize(("width", "millions"), [(32, 2.9), (64, 11.7), (96, 26.2)])
def test_shake_shake_has_the_parameters_of_table_1(width, millions):
    count = kv.model_card(f"ShakeShake26_{width}CIFAR").trainable_parameters
    assert count == shake_shake_parameters(width)
    assert round(count / 1e6, 1) == millions


@pytest.mark.parametrize(("alpha", "millions"), [(48, 1.7), (84, 3.8), (270, 28.3)])
def test_pyramid_net_has_about_the_published_parameters(alpha, millions):
    """As Han et al. print them; by their Equation 2 the last is 28.49."""
    count = build("ShakeDropPyramidNet110CIFAR", alpha=alpha).card.trainable_parameters
    assert count == pyramid_parameters(alpha)
    assert count / 1e6 == pytest.approx(millions, rel=0.025)


def test_depths_are_in_the_names():
    for name, depth in (("ShakeShake26_32CIFAR", 26), ("ShakeDropPyramidNet110CIFAR", 110)):
        convolutions = [x.name for x in build(name).layers if isinstance(x, keras.layers.Conv2D)]
        assert len([c for c in convolutions if "shortcut" not in c and "branch2" not in c]) + 1 == depth


# ------------------------------------------------------------------------------------------- Shake-Shake


@pytest.mark.parametrize("size", [(32, 32), (17, 22)])
def test_a_shortcut_sees_two_grids_one_cell_apart(size, randomize):
    model = randomize(build("ShakeShake26_32CIFAR", n=1, width=8, include_top=False))
    x = np.random.default_rng(0).normal(0, 1, (2, *size, 3)).astype("float32")
    before, after = outputs(model, ["conv3_1_shortcut_relu", "conv3_1_shortcut_halves"], x)
    kernels = [np.asarray(model.get_layer(f"conv3_1_shortcut_{i}_conv").kernel)[0, 0] for i in (1, 2)]
    expected = np.zeros_like(after)
    for i, j in np.ndindex(*after.shape[1:3]):
        expected[:, i, j, :8] = before[:, 2 * i, 2 * j] @ kernels[0]
        if i and j:  # else outside the map: zeros
            expected[:, i, j, 8:] = before[:, 2 * i - 1, 2 * j - 1] @ kernels[1]
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_in_inference_a_block_adds_half_of_each_branch(randomize):
    model = randomize(build("ShakeShake26_32CIFAR", n=2, width=8, include_top=False))
    names = ["conv2_1", "conv2_2_branch1_2_bn", "conv2_2_branch2_2_bn", "conv2_2"]
    shortcut, first, second, block = outputs(model, names, X)
    np.testing.assert_allclose(block, shortcut + 0.5 * first + 0.5 * second, atol=1e-5)
    assert np.abs(first - second).max() > 0.1


def test_training_shakes_every_block_anew():
    model = build("ShakeShake26_32CIFAR", n=1, width=4)
    assert len([x for x in model.layers if isinstance(x, ShakeShake)]) == 3
    one, two = (np.asarray(model(X, training=True)) for _ in range(2))
    assert np.abs(one - two).max() > 1e-5
    np.testing.assert_array_equal(model(X), model(X))


def test_dilated_cells_equal_the_original(randomize):
    original = randomize(build("ShakeShake26_32CIFAR", n=1, width=8, include_top=False))
    dilated = build("ShakeShake26_32CIFAR", n=1, width=8, include_top=False, output_stride=1)
    dilated.set_weights(original.get_weights())
    expected, actual = np.asarray(original(X)), np.asarray(dilated(X))
    assert actual.shape[1:3] == (32, 32)
    inner = slice(3, -3)  # at the border, shifts and padding bring zeros at other distances
    np.testing.assert_allclose(actual[:, ::4, ::4][:, inner, inner], expected[:, inner, inner], atol=1e-4)


# --------------------------------------------------------------------------------- PyramidNet, ShakeDrop


def test_survival_falls_linearly_and_widths_grow_by_equal_steps():
    model = build("ShakeDropPyramidNet110CIFAR", include_top=False)
    survival = [x.survival_probability for x in model.layers if isinstance(x, ShakeDrop)]
    np.testing.assert_allclose(survival, [1 - k / 108 for k in range(1, 55)])
    taps = kv.taps(model)
    blocks = [f"conv{2 + k // 18}_{k % 18 + 1}" for k in range(54)]
    assert [taps[name].channels for name in blocks] == [21 + 5 * k for k in range(54)]
    assert [taps[name].stride for name in ("conv2_18", "conv3_1", "conv4_1")] == [(1, 1), (2, 2), (4, 4)]


@pytest.mark.parametrize("size", [(32, 32), (17, 23)])
def test_a_block_adds_zeros_and_the_mean_of_shake_drop(size, randomize):
    model = randomize(build("ShakeDropPyramidNet110CIFAR", n=2, alpha=12, include_top=False))
    x = np.random.default_rng(0).normal(0, 1, (2, *size, 3)).astype("float32")
    before, branch, block = outputs(model, ["conv2_2", "conv3_1_2_bn", "conv3_1"], x)
    shortcut = np.zeros_like(branch)
    for i, j in np.ndindex(*branch.shape[1:3]):
        shortcut[:, i, j, :20] = before[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean(axis=(1, 2))
    p = 1 - 3 / 6 * 0.5
    np.testing.assert_allclose(block, shortcut + p * branch, atol=1e-5)


def test_shake_drop_trains_in_float16_and_survives_a_file(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build("ShakeDropPyramidNet110CIFAR", n=1, alpha=9)
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    before = [np.asarray(v).copy() for v in model.trainable_variables]
    model.fit(X, np.array([1, 2]), epochs=2, verbose=0)
    after = [np.asarray(v) for v in model.trainable_variables]
    assert all(np.isfinite(a).all() and (a != b).any() for a, b in zip(after, before, strict=True))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(X), model(X))


# ------------------------------------------------------------------------------------------------- both

SMALL = [("ShakeShake26_32CIFAR", dict(n=1, width=8)), ("ShakeDropPyramidNet110CIFAR", dict(n=1, alpha=24))]


@pytest.mark.parametrize(("name", "settings"), SMALL)
def test_learns_digits(name, settings):
    data = load_digits()
    x = np.repeat(data.images[..., None] / 8 - 1, 3, axis=-1)[:700].astype("float32")
    keras.utils.set_random_seed(0)
    model = build(name, input_shape=(8, 8, 3), **settings)
    model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:500], data.target[:500], epochs=12, batch_size=25, verbose=0)
    assert model.evaluate(x[500:], data.target[500:700], verbose=0)[1] > 0.8


@pytest.mark.parametrize(("name", "settings"), SMALL)
def test_exports_give_the_same_outputs(name, settings, randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(build(name, classes=5, **settings))
    for checked in (kv.export.to_litert(model, tmp_path / "a.tflite"), kv.export.to_saved_model(model, tmp_path / "a")):
        assert checked.max_difference <= 1e-4 * checked.output_range


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("ShakeShake26_32CIFAR", dict(n=0)),
        ("ShakeShake26_32CIFAR", dict(width=7)),
        ("ShakeDropPyramidNet110CIFAR", dict(n=1.5)),
        ("ShakeDropPyramidNet110CIFAR", dict(alpha=-1)),
    ],
)
def test_wrong_settings_are_errors(name, wrong):
    key, value = next(iter(wrong.items()))
    with pytest.raises(KerasVisionError, match=f"{key}={value}"):
        build(name, **wrong)

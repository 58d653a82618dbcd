"""BranchyNet: the layouts of the authors' files, written out in NumPy."""

from functools import partial

import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.export import to_litert
from keras_vision.runtime import Predictor
from keras_vision.weights.writing import arrays_of

NAMES = {"BLeNet": (28, 28, 1), "BAlexNet": (32, 32, 3), "BResNet110": (32, 32, 3)}
SMALL = {"BResNet110": dict(n=2)}


def network(name, **settings):
    return kv.create_model(name, weights=None, **(SMALL.get(name, {}) | settings))


def images(name, n=3):
    return np.random.default_rng(0).normal(0, 1, (n, *NAMES[name])).astype("float32")


@pytest.mark.parametrize(("name", "main", "branches"), [
    ("BLeNet", 67_824, (6_870,)),
    ("BAlexNet", 544_074, (32_842, 28_970)),
    ("BResNet110", 1_737_130, (341_386, 148_714)),
])  # fmt: skip
def test_main_line_and_branches_have_the_parameters_of_the_files(name, main, branches):
    model = kv.create_model(name, weights=None)
    assert model.card.trainable_parameters == main + sum(branches)
    for number, count in enumerate(branches, 1):
        own = [w for layer in model.layers if layer.name.startswith(f"branch{number}") for w in layer.trainable_weights]
        assert sum(int(np.prod(w.shape)) for w in own) == count


def conv(x, arrays, name, padding, stride=1):
    kernel = arrays[f"{name}/kernel"].astype("float64")
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))[:, ::stride, ::stride]
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel, optimize=True) + arrays[f"{name}/bias"]


def relu(x):
    return np.maximum(x, 0)


def pool(x, window):
    """Every second window; the last may hang over the edge."""
    cells = [-(-(size - window) // 2) + 1 for size in x.shape[1:3]]
    rows = [[x[:, 2 * i : 2 * i + window, 2 * j : 2 * j + window].max((1, 2)) for j in range(cells[1])]
            for i in range(cells[0])]  # fmt: skip
    return np.stack([np.stack(row, 1) for row in rows], 1)


def fc(x, arrays, name):
    return x.reshape(len(x), -1) @ arrays[f"{name}/kernel"] + arrays[f"{name}/bias"]


def lrn(x):
    squares = np.pad(np.square(x), [(0, 0)] * 3 + [(1, 1)])
    energy = sum(squares[..., i : i + x.shape[-1]] for i in range(3))
    return x / (2 + 5e-5 * energy) ** 0.75


def lenet(x, w):
    first = conv(x, w, "conv1", 3)
    side = relu(pool(conv(relu(pool(first, 2)), w, "branch1_conv1", 1), 2))
    x = relu(pool(first, 2))
    for name in ("conv2", "conv3"):
        x = relu(pool(conv(x, w, name, 3), 2))
    return [fc(fc(x, w, "fc1"), w, "predictions"), fc(side, w, "branch1_predictions")]


def alexnet(x, w):
    x = lrn(pool(relu(conv(x, w, "conv1", 2)), 3))
    second = conv(x, w, "conv2", 2)
    x = third = conv(lrn(pool(relu(second), 3)), w, "conv3", 1)
    one = lrn(pool(relu(second), 3))
    for name in ("branch1_conv1", "branch1_conv2"):
        one = relu(conv(one, w, name, 1))
    two = relu(conv(lrn(pool(relu(third), 3)), w, "branch2_conv1", 1))
    for name in ("conv4", "conv5"):
        x = conv(relu(x), w, name, 1)
    x = pool(relu(x), 3)
    for name in ("fc1", "fc2"):
        x = relu(fc(x, w, name))
    sides = [fc(pool(y, 3), w, f"branch{number}_predictions") for number, y in enumerate((one, two), 1)]
    return [fc(x, w, "predictions"), *sides]


def normed(x, w, name):
    """Batch norm by its moving statistics."""
    gamma, beta, mean, variance = (w[f"{name}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
    return (x - mean) / np.sqrt(variance + 1.001e-5) * gamma + beta


def block(x, w, name, stride=1):
    """Two convolutions, and around them every `stride`-th cell with as many channels of zeros before as after."""
    y = relu(normed(conv(x, w, f"{name}_1_conv", 1, stride), w, f"{name}_1_bn"))
    y = normed(conv(y, w, f"{name}_2_conv", 1), w, f"{name}_2_bn")
    zeros = (y.shape[-1] - x.shape[-1]) // 2
    return relu(y + np.pad(x[:, ::stride, ::stride], [(0, 0)] * 3 + [(zeros, zeros)]))


def resnet(x, w, n):
    x = relu(normed(conv(x, w, "conv1_conv", 0), w, "conv1_bn"))
    one = lrn(relu(conv(x, w, "branch1_conv1", 2)))
    for name in ("branch1_conv2", "branch1_conv3"):
        one = relu(conv(one, w, name, 1))
    for stage in (2, 3, 4):
        for position in range(1, n + 1):
            x = block(x, w, f"conv{stage}_{position}", 2 if stage > 2 and position == 1 else 1)
        if stage == 2:
            two = block(x, w, "branch2_block")
    assert (one.shape[1:], two.shape[1:], x.shape[1:]) == ((30, 30, 32), (30, 30, 16), (8, 8, 64))
    means = [[x[:, i : i + 6, j : j + 6].mean((1, 2)) for j in range(3)] for i in range(3)]
    x = np.stack([np.stack(row, 1) for row in means], 1)
    sides = [fc(y, w, f"branch{number}_predictions") for number, y in enumerate((one, two), 1)]
    return [fc(x, w, "predictions"), *sides]


@pytest.mark.parametrize(("name", "settings", "by_hand"), [
    ("BLeNet", {}, lenet),
    ("BAlexNet", {}, alexnet),
    ("BResNet110", dict(n=1), partial(resnet, n=1)),
    ("BResNet110", dict(n=2), partial(resnet, n=2)),
], ids=["BLeNet", "BAlexNet", "BResNet110-1", "BResNet110-2"])  # fmt: skip
def test_outputs_are_those_of_the_layouts_in_their_own_order(name, settings, by_hand, randomize):
    model = randomize(network(name, classifier_activation=None, **settings))
    expected = by_hand(images(name), arrays_of(model))
    for one, other in zip(model(images(name)), expected, strict=True):
        assert np.ptp(other) > 0.1
        np.testing.assert_allclose(one, other, atol=1e-5 * np.ptp(other))


@pytest.mark.parametrize("name", NAMES)
def test_the_main_line_alone_computes_the_first_output(name, randomize):
    model = randomize(network(name))
    alone = network(name, branches=False)
    for layer in alone.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    np.testing.assert_allclose(alone(images(name)), model(images(name))[0], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_litert_file_of_the_whole_network_gives_the_main_classifiers_output(name, tmp_path, randomize):
    model = randomize(network(name))
    checked = to_litert(model, tmp_path / "model.tflite")
    assert checked.max_difference <= checked.bound <= 1e-4 * checked.output_range
    rows, columns, channels = NAMES[name]
    pixels = np.random.default_rng(0).integers(0, 256, (5, rows, columns, channels), np.uint8)
    given = Predictor(tmp_path / "model.tflite", threads=1).predict([p[..., 0] if channels == 1 else p for p in pixels])
    expected = np.asarray(model(model.preprocessing.normalize(pixels))[0])
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(given, expected, atol=1e-4 * np.ptp(expected))


def test_settings_that_make_no_sense_are_errors():
    with pytest.raises(KerasVisionError, match="branches='all'"):
        network("BLeNet", branches="all")
    with pytest.raises(KerasVisionError, match="n=0"):
        network("BResNet110", n=0)
    with pytest.raises(KerasVisionError, match="too small for BAlexNet"):
        network("BAlexNet", input_shape=(4, 4, 3))

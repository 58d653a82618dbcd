"""BranchyNet: the layouts of the authors' files, written out with TensorFlow's operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vision as kv
from keras_vision.errors import KerasVisionError
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


def conv(x, arrays, name, padding):
    x = tf.nn.conv2d(x, arrays[f"{name}/kernel"], 1, [[0, 0], [padding] * 2, [padding] * 2, [0, 0]])
    return x + arrays[f"{name}/bias"]


def pool(x, window):
    """Every second window; the last may hang over the edge."""
    cells = [-(-(size - window) // 2) + 1 for size in x.shape[1:3]]
    rows = [[tf.reduce_max(x[:, 2 * i : 2 * i + window, 2 * j : 2 * j + window], (1, 2)) for j in range(cells[1])]
            for i in range(cells[0])]  # fmt: skip
    return tf.stack([tf.stack(row, 1) for row in rows], 1)


def fc(x, arrays, name):
    return tf.reshape(x, (len(x), -1)) @ arrays[f"{name}/kernel"] + arrays[f"{name}/bias"]


def lrn(x):
    squares = np.pad(np.square(x), [(0, 0)] * 3 + [(1, 1)])
    energy = sum(squares[..., i : i + x.shape[-1]] for i in range(3))
    return x / (2 + 5e-5 * energy) ** 0.75


def lenet(x, w):
    first = conv(x, w, "conv1", 3)
    side = tf.nn.relu(pool(conv(tf.nn.relu(pool(first, 2)), w, "branch1_conv1", 1), 2))
    x = tf.nn.relu(pool(first, 2))
    for name in ("conv2", "conv3"):
        x = tf.nn.relu(pool(conv(x, w, name, 3), 2))
    return [fc(fc(x, w, "fc1"), w, "predictions"), fc(side, w, "branch1_predictions")]


def alexnet(x, w):
    x = lrn(pool(tf.nn.relu(conv(x, w, "conv1", 2)), 3))
    second = conv(x, w, "conv2", 2)
    x = third = conv(lrn(pool(tf.nn.relu(second), 3)), w, "conv3", 1)
    one = lrn(pool(tf.nn.relu(second), 3))
    for name in ("branch1_conv1", "branch1_conv2"):
        one = tf.nn.relu(conv(one, w, name, 1))
    two = tf.nn.relu(conv(lrn(pool(tf.nn.relu(third), 3)), w, "branch2_conv1", 1))
    for name in ("conv4", "conv5"):
        x = conv(tf.nn.relu(x), w, name, 1)
    x = pool(tf.nn.relu(x), 3)
    for name in ("fc1", "fc2"):
        x = tf.nn.relu(fc(x, w, name))
    sides = [fc(pool(y, 3), w, f"branch{number}_predictions") for number, y in enumerate((one, two), 1)]
    return [fc(x, w, "predictions"), *sides]


@pytest.mark.parametrize(("name", "by_hand"), [("BLeNet", lenet), ("BAlexNet", alexnet)])
def test_outputs_are_those_of_the_layouts_in_their_own_order(name, by_hand, randomize):
    model = randomize(network(name, classifier_activation=None))
    expected = by_hand(images(name), arrays_of(model))
    for one, other in zip(model(images(name)), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * np.ptp(other))


@pytest.mark.parametrize("name", NAMES)
def test_the_main_line_alone_computes_the_first_output(name, randomize):
    model = randomize(network(name))
    alone = network(name, branches=False)
    for layer in alone.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    np.testing.assert_allclose(alone(images(name)), model(images(name))[0], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_joint_step_trains_everything_and_a_file_keeps_it(name, tmp_path, randomize):
    model = randomize(network(name, classes=4))
    losses = ["sparse_categorical_crossentropy"] * len(model.outputs)
    model.compile(keras.optimizers.SGD(0.1), losses, jit_compile=False)
    before = [v.numpy() for v in model.trainable_variables]
    model.train_on_batch(images(name), [np.array([1, 0, 3])] * len(model.outputs))
    paths = [v.path for v in model.trainable_variables]
    after = [np.asarray(v) for v in model.trainable_variables]
    assert not [path for path, b, a in zip(paths, before, after, strict=True) if np.array_equal(b, a)]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.card == model.card
    for one, other in zip(loaded(images(name)), model(images(name)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_settings_that_make_no_sense_are_errors():
    with pytest.raises(KerasVisionError, match="branches='all'"):
        network("BLeNet", branches="all")
    with pytest.raises(KerasVisionError, match="n=0"):
        network("BResNet110", n=0)
    with pytest.raises(KerasVisionError, match="too small for BAlexNet"):
        network("BAlexNet", input_shape=(4, 4, 3))

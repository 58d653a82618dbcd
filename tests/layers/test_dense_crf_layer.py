"""The CRF layer against the operation; training it; config, graphs, mixed precision, two devices, bad arguments."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vision.errors import KerasVisionError
from keras_vision.layers import DenseCRF
from keras_vision.ops import Bilateral, Gaussian, Potts, dense_crf

KERNELS = (Bilateral(2.0, 20.3, (30.0, 31.0, 32.0)), Gaussian(1.5, (2.0, 1.2)))
MATRIX = np.random.default_rng(7).uniform(-0.2, 1, (4, 4)).astype(np.float32)


def scene(n=2, height=11, width=13, labels=4, seed=0):
    """Logits (n, h, w, labels) and an image (n, h, w, 3) of two colours and noise."""
    rng = np.random.default_rng(seed)
    colours = rng.uniform(0, 255, (n, 1, 1, 3)) * (np.arange(width) < width // 2)[:, None]
    image = colours + rng.normal(0, 10, (n, height, width, 3))
    return rng.normal(size=(n, height, width, labels)).astype(np.float32), image.astype(np.float32)


@pytest.mark.parametrize("impl", ["auto", "custom", "reference"])
@pytest.mark.parametrize("compatibility", [Potts(), 0.5, MATRIX], ids=["potts", "number", "matrix"])
def test_is_the_operation(impl, compatibility):
    logits, image = scene()
    options = dict(kernels=KERNELS, compatibility=compatibility, iterations=3, normalization="after", impl=impl)
    layer = DenseCRF(**options)
    ours = layer([logits, image])
    np.testing.assert_array_equal(ours, dense_crf(logits, image, **options))
    np.testing.assert_array_equal(layer([logits, image], training=True), ours)
    given = DenseCRF(from_probabilities=True, **options)([keras.ops.softmax(logits), image])
    np.testing.assert_allclose(given, ours, atol=1e-4)


def test_weights_have_clear_names_and_can_be_fixed():
    def names(weights):
        return [weight.name for weight in weights]

    inputs = scene()
    layer = DenseCRF(KERNELS, MATRIX)
    layer(inputs)
    assert names(layer.trainable_weights) == ["kernel_weights", "penalties"]
    np.testing.assert_allclose(layer.kernel_weights, [2.0, 1.5])
    np.testing.assert_array_equal(layer.penalties, MATRIX)
    for options, left in (
        (dict(train_kernel_weights=False), ["penalties"]),
        (dict(train_penalties=False), ["kernel_weights"]),
        (dict(trainable=False), []),
    ):
        layer = DenseCRF(KERNELS, **options)
        layer(inputs)
        assert names(layer.trainable_weights) == left
        assert sorted(names(layer.weights)) == ["kernel_weights", "penalties"]
    layer.trainable = True
    assert layer.penalties.shape == ()
    assert names(layer.trainable_weights) == ["kernel_weights", "penalties"]


@pytest.mark.parametrize("compatibility", [Potts(), MATRIX], ids=["potts", "matrix"])
def test_functional_model_trains_and_its_file_gives_the_same(compatibility, tmp_path):
    logits, image = scene()
    inputs = keras.Input((11, 13, 4), name="scores"), keras.Input((11, 13, 3), name="image")
    scores = keras.layers.Conv2D(4, 1, name="classifier")(inputs[0])
    model = keras.Model(inputs, DenseCRF(KERNELS, compatibility, iterations=2, name="crf")([scores, inputs[1]]))
    assert model.output_shape == (None, 11, 13, 4)
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    assert not model.jit_compile  # XLA has no such operation
    before = [weight.numpy() for weight in model.trainable_weights]
    history = model.fit([logits, image], logits.argmax(-1), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(before, model.trainable_weights, strict=True))
    assert np.min(model.get_layer("crf").kernel_weights) >= 0
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict([logits, image], verbose=0), model.predict([logits, image], verbose=0))


def test_config_round_trip():
    layer = DenseCRF(
        KERNELS, MATRIX, 3, "before", True, "reference", "plain", False, False, False, name="crf", trainable=False
    )
    config = layer.get_config()
    again = DenseCRF.from_config(config)
    assert again.get_config() == config
    assert again.kernels == layer.kernels
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == config
    logits, image = scene()
    np.testing.assert_array_equal(again([np.abs(logits), image]), layer([np.abs(logits), image]))


def test_eager_is_graph_and_the_gradients_are_the_same():
    logits, image = map(tf.constant, scene())
    layer = DenseCRF(KERNELS, MATRIX, iterations=2)

    def step(logits, image, training):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_sum(tf.square(layer([logits, image], training=training)))
        return tape.gradient(loss, [logits, *(weight.value for weight in layer.trainable_weights)])

    layer([logits, image])
    graph = tf.function(step)
    expected = step(logits, image, True)
    assert [gradient.shape for gradient in expected] == [(2, 11, 13, 4), (2,), (4, 4)]
    for gradients in (step(logits, image, False), graph(logits, image, True), graph(logits, image, False)):
        for one, other in zip(gradients, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_sizes_of_images_may_be_unknown():
    inputs = keras.Input((None, None, 4)), keras.Input((None, None, 3))
    model = keras.Model(inputs, DenseCRF(KERNELS, iterations=1)(list(inputs)))
    for size in (5, 9):
        logits, image = scene(1, size, size + 1)
        expected = dense_crf(logits, image, kernels=KERNELS, iterations=1)
        np.testing.assert_array_equal(model.predict([logits, image], verbose=0), expected)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_in_float32(policy):
    logits, image = scene()
    layer = DenseCRF(KERNELS, iterations=3, dtype=policy)
    half = tf.cast(logits, layer.compute_dtype)
    marginals = layer([half, image])
    assert marginals.dtype == layer.compute_dtype
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    expected = dense_crf(tf.cast(half, tf.float32), image, kernels=KERNELS, iterations=3)  # the image as it was given
    np.testing.assert_array_equal(marginals, tf.cast(expected, layer.compute_dtype))
    with tf.GradientTape() as tape:
        tape.watch(half)
        loss = tf.reduce_sum(tf.cast(layer([half, image], training=True), tf.float32) ** 2)
    gradient = tape.gradient(loss, half)
    assert gradient.dtype == layer.compute_dtype
    assert np.isfinite(tf.cast(gradient, tf.float32)).all()
    byte = image.clip(0, 255).astype(np.uint8)
    np.testing.assert_array_equal(layer([half, byte]), layer([half, byte.astype(np.float32)]))


def test_jit_is_for_the_reference_only():
    assert not DenseCRF().supports_jit
    assert not DenseCRF(impl="custom").supports_jit
    assert not DenseCRF(impl="reference").supports_jit


TWO_DEVICES = """
import sys, numpy as np, keras, tensorflow as tf, keras_vision as kv
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
data = np.load(sys.argv[1])
results = []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        inputs = keras.Input((11, 13, 4)), keras.Input((11, 13, 3))
        kernels = kv.ops.Bilateral(2.0, 20.3, 30.0), kv.ops.Gaussian(1.5, 2.0)
        model = keras.Model(inputs, kv.layers.DenseCRF(kernels, data["matrix"], iterations=2)(list(inputs)))
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    arrays = [data["logits"], data["image"]], data["logits"].argmax(-1)
    history = model.fit(*arrays, batch_size=4, epochs=3, shuffle=False, verbose=0).history["loss"]
    results.append(np.concatenate([history, *(np.ravel(weight) for weight in model.get_weights())]))
assert strategy.num_replicas_in_sync == 2
assert results[0][2] < results[0][0]
np.testing.assert_allclose(results[1], results[0], rtol=1e-4, atol=1e-5)
"""


def test_two_devices_train_as_one(tmp_path):
    logits, image = scene(4)
    np.savez(tmp_path / "data.npz", logits=logits, image=image, matrix=MATRIX)
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(tmp_path / "data.npz")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


ON_JAX = """
import sys, numpy as np, keras, keras_vision as kv
data = np.load(sys.argv[1])
inputs = keras.Input((11, 13, 4)), keras.Input((11, 13, 3))
layer = kv.layers.DenseCRF((kv.ops.Gaussian(1.5, 2.0),), data["matrix"], iterations=2)
model = keras.Model(inputs, layer(list(inputs)))
model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
arrays = [data["logits"], data["image"]], data["logits"].argmax(-1)
loss = model.fit(*arrays, epochs=3, verbose=0).history["loss"]
assert layer.supports_jit and loss[2] < loss[0], loss
assert np.abs(np.asarray(layer.penalties) - data["matrix"]).max() > 0.1
"""


def test_jax_trains_the_reference(tmp_path, on_jax):
    logits, image = scene()
    np.savez(tmp_path / "data.npz", logits=logits, image=image, matrix=MATRIX)
    command = [sys.executable, "-c", ON_JAX, str(tmp_path / "data.npz")]
    done = subprocess.run(command, capture_output=True, text=True, env=on_jax)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(("arguments", "says"), [
    (dict(kernels=(Gaussian(-1.0),)), "weights of 0 or above"),
    (dict(kernels=("bilateral",)), "kernels must be Bilateral"),
    (dict(compatibility=-1.0), "Potts' penalty must be 0 or above"),
    (dict(compatibility=np.zeros((2, 3))), "a finite matrix"),
    (dict(compatibility=[[0.0, np.nan], [1.0, 0.0]]), "a finite matrix"),
    (dict(compatibility="potts"), "not 'potts'"),
    (dict(iterations=-1), "whole number from 0 on"),
    (dict(normalization="both"), "normalization must be one of"),
    (dict(impl="cuda"), "impl must be one of"),
    (dict(level="sse9"), "level must be one of"),
])  # fmt: skip
def test_bad_arguments(arguments, says):
    with pytest.raises(KerasVisionError, match=says):
        DenseCRF(**arguments)


@pytest.mark.parametrize(("shapes", "says"), [
    ([(4, 5, None), (4, 5, 3)], "static numbers of labels and channels"),
    ([(4, 5, 3), (4, 5, None)], "static numbers of labels and channels"),
    ([(4, 5, 3)], "called on .logits"),
    ([(5, 3), (5, 3)], "called on .logits"),
])  # fmt: skip
def test_bad_inputs(shapes, says):
    inputs = [keras.Input(shape) for shape in shapes]
    with pytest.raises(KerasVisionError, match=says):
        DenseCRF()(inputs if len(inputs) > 1 else inputs[0])


def test_a_matrix_of_other_labels_is_refused():
    with pytest.raises(KerasVisionError, match=r"compatibility is \(4, 4\), and the logits have 3 labels"):
        DenseCRF(compatibility=MATRIX)([keras.Input((4, 5, 3)), keras.Input((4, 5, 3))])

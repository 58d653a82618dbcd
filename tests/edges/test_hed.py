"""The HED network: published counts, geometry on any trunk and size, outputs, files, exports, backends."""

import itertools
import re
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from scipy.interpolate import RegularGridInterpolator

import keras_vision as kv
from keras_vision import KerasVisionError
from keras_vision.edges import HED, BalancedEdgeLoss, with_output
from keras_vision.edges.padding import least_padding
from keras_vision.training.optimisation import optimizer_of
from keras_vision.training.recipes.settings import Recipe

TRUNKS = ("SqueezeNetV1_1", "SqueezeNet", "VGG11", "AlexNet", "GoogLeNet", "ResNet18", "ResNet20CIFAR")


def images(*size, channels=3, n=1, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (n, *size, channels)).astype("float32")


def scored(model):
    """Layer whose output each side output scores, in their order."""
    numbers = range(1, len([layer for layer in model.layers if layer.name.startswith("score_dsn")]) + 1)
    sources = [model.get_layer(f"score_dsn{i}")._inbound_nodes[0].input_tensors[0] for i in numbers]
    return [source._keras_history.operation.name for source in sources]


# ------------------------------------------------------------------------------------------------- release


def test_the_release_s_network():
    model = kv.create_model("hed")
    assert (model.card.trainable_parameters, model.card.parameters) == (14_716_171, 14_716_171 + 1_360)
    assert (model.input_shape, model.output_shape) == ((None, None, None, 3), (None, None, None, 1))
    assert scored(model) == ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"]
    assert [model.get_layer(f"side{i}").offset for i in range(1, 6)] == [(c, c) for c in (34, 35, 36, 38, 42)]
    assert [model.get_layer(f"upsample_dsn{i}").kernel_size for i in range(2, 6)] == [(k, k) for k in (4, 8, 16, 32)]
    weighted = [layer.name for layer in model.layers if layer.weights]
    assert len(weighted) == 13 + 5 + 4 + 1
    assert not [name for name in weighted if name.startswith(("fc", "pool"))]
    assert not any(model.get_layer(f"score_dsn{i}").get_weights()[0].any() for i in range(1, 6))
    np.testing.assert_allclose(model.get_layer("fuse").get_weights()[0], 0.2)
    assert model.get_layer("fuse").get_weights()[1] == 0


def test_the_release_s_learning_rates_are_given_by_prefix():
    model = HED(output="all")
    rates = {"conv5": 100.0, "score_dsn": 0.01, "fuse": 0.001}
    recipe = Recipe(
        name="x", result="y", model="HED", data="z", epochs=1, batch_size=1, learning_rate=1e-6, rates=rates
    )
    optimizer = optimizer_of(recipe, model, 10)
    optimizer.build(model.trainable_variables)
    found = {}
    for part, _ in optimizer.parts:
        rate = float(part.learning_rate) / 1e-6
        found |= {v.path.partition("/")[0]: rate for v in part._trainable_variables}
    assert len(found) == 13 + 5 + 1
    for layer, rate in found.items():
        assert rate == pytest.approx(next((r for prefix, r in rates.items() if layer.startswith(prefix)), 1), rel=1e-5)


# ------------------------------------------------------------------------------------------------ geometry


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_constant_reaches_every_pixel_of_any_size(trunk):
    """Side outputs of score 1 are 1 at every pixel: interpolation begins and ends beyond the image."""
    model = HED(trunk=trunk, output="all")
    for layer in model.layers:
        if layer.name.startswith("score_dsn"):
            layer.bias.assign([1.0])
    for size in [(1, 1), (1, 7), (34, 47), (65, 48)]:
        for name, x in model(images(*size)).items():
            assert x.shape == (1, *size, 1), name
            np.testing.assert_allclose(x, 1, atol=1e-5, err_msg=f"{name} {size}")


@pytest.mark.parametrize(("less", "corner"), [((1, 0), 0), ((0, 1), -1)])
def test_with_a_pixel_less_of_padding_some_size_fades_at_the_corner(less, corner):
    plan = kv.applications.SqueezeNetV1_1(weights=None, features_only=True)
    before, after = least_padding(plan)
    assert (before, after) == (15, 16)
    model = HED(trunk="SqueezeNetV1_1", padding=(before - less[0], after - less[1]), output="all")
    model.get_layer("score_dsn4").bias.assign([1.0])
    corners = [float(model(images(size, size))["side4"][0, corner, corner, 0]) for size in range(48, 64)]
    assert min(corners) < 0.9


@pytest.mark.parametrize("padding", [14, (15, 1), (20, 31)])
def test_side_outputs_interpolate_between_the_centres_of_cells(padding, randomize):
    """Against SciPy; conv1, fire3, fire5 and fire9 have their first centres at pixels 1, 3, 7 and 15 unpadded."""
    model = randomize(HED(trunk="SqueezeNetV1_1", padding=padding, output="all"))
    for layer in model.layers:
        if layer.name.startswith("upsample"):
            layer.kernel.assign(layer.kernel_initializer(layer.kernel.shape))
    before = padding if isinstance(padding, int) else padding[0]
    x = images(50, 61)
    sources = [model.get_layer(f"score_dsn{i}").output for i in range(1, 5)]
    scores = keras.Model(model.input, sources)(x)
    sides = list(model(x).values())[:4]
    for side, score, stride, first in zip(sides, scores, (2, 4, 8, 16), (1, 3, 7, 15), strict=True):
        grid = [first - before + stride * np.arange(-1, n + 1) for n in score.shape[1:3]]  # zeros around the map
        cells = np.pad(np.asarray(score)[0, ..., 0], 1)
        pixels = np.stack(np.meshgrid(np.arange(50), np.arange(61), indexing="ij"), -1)
        expected = RegularGridInterpolator(grid, cells, bounds_error=False, fill_value=0.0)(pixels)
        np.testing.assert_allclose(np.asarray(side)[0, ..., 0], expected, atol=1e-5 * np.ptp(cells))


def test_fusion_is_a_weighted_sum(randomize):
    model = randomize(HED(trunk="SqueezeNetV1_1", output="all"))
    *sides, fuse = (np.asarray(x) for x in model(images(20, 30)).values())
    kernel, bias = model.get_layer("fuse").get_weights()
    expected = sum(w * side for w, side in zip(kernel.ravel(), sides, strict=True)) + bias
    np.testing.assert_allclose(fuse, expected, atol=1e-4)


def test_taps_of_ones_own_end_the_trunk():
    model = HED(trunk="vgg16", taps=["conv1_1", "conv3_1"], padding=0)
    assert scored(model) == ["conv1_1", "conv3_1"]
    assert [layer.name for layer in model.layers if layer.name.startswith("conv")][-1] == "conv3_1"
    assert scored(HED(trunk="SqueezeNet")) == ["conv1", "fire4", "fire8", "fire9"]


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(trunk="SqueezeNetV1_1", padding=(15, -1)), r"padding=.* from 0"),
    (dict(trunk="AlexNet", padding=2), r"padding=2 leaves pixels .*\(17, 20\) covers all"),
    (dict(trunk="nothing"), "no model is called 'nothing'"),
    (dict(trunk="SqueezeNet", taps=["fire22"]), "no tap 'fire22'"),
    (dict(trunk="SqueezeNet", output="side5"), "output='side5'; accepted: 'all', 'average', 'side1', .* 'fuse'"),
    (dict(trunk="SqueezeNet", output=()), r"output=\(\)"),
    (dict(input_shape=(3, 3)), "input_shape"),
])  # fmt: skip
def test_what_does_not_go_together_is_named(arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        HED(**arguments)


# ------------------------------------------------------------------------------------------ outputs, trunk


def test_outputs_share_the_weights_and_average_probabilities(randomize, tmp_path):
    model = randomize(HED(trunk="SqueezeNetV1_1", output="all"))
    x = images(24, 31)
    logits = {name: np.asarray(z, "float64") for name, z in model(x).items()}
    probability = {name: 1 / (1 + np.exp(-z)) for name, z in logits.items()}
    chosen = ("side2", "side3", "fuse")
    expected = {"fuse": probability["fuse"], "side3": probability["side3"], chosen: None, "average": None}
    expected |= {chosen: sum(probability[n] for n in chosen) / 3, "average": sum(probability.values()) / 5}
    for output, values in expected.items():
        np.testing.assert_allclose(with_output(model, output)(x), values, atol=1e-5)
    fuse = with_output(model)
    assert (model.card.output, fuse.card.output) == ("logit", "probability")
    assert {id(v) for v in fuse.weights} == {id(v) for v in model.weights}
    assert with_output(model, "side1").card.parameters < fuse.card.parameters
    fuse.save(tmp_path / "hed.keras")
    loaded = keras.models.load_model(tmp_path / "hed.keras")
    assert loaded.card == fuse.card
    np.testing.assert_array_equal(loaded(x), fuse(x))
    for name, z in with_output(loaded, "all")(x).items():
        np.testing.assert_allclose(z, logits[name], atol=1e-4)
    with pytest.raises(KerasVisionError, match="no fused side outputs"):
        with_output(kv.applications.SqueezeNet(weights=None))


@pytest.mark.parametrize("channels", [3, 1])
def test_the_trunk_starts_from_a_classifier_s_file(channels, randomize, tmp_path):
    classifier = randomize(kv.applications.SqueezeNetV1_1(weights=None, classes=7, input_shape=(64, 64, 3)))
    kv.weights.save(classifier, tmp_path / "classifier.npz")
    model = HED(
        trunk="SqueezeNetV1_1",
        trunk_weights=tmp_path / "classifier.npz",
        input_shape=(None, None, channels),
        padding=20,
    )
    x = images(40, 45, channels=channels)
    features = kv.applications.SqueezeNetV1_1(weights=None, features_only=True)
    for layer in features.layers:
        layer.set_weights(classifier.get_layer(layer.name).get_weights())
    rgb = np.pad(np.repeat(x, 3 // channels, axis=-1), [(0, 0), (20, 20), (20, 20), (0, 0)])
    own = keras.Model(model.input, [model.get_layer(name).output for name in features.output])(x)
    for expected, found in zip(features(rgb).values(), own, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(expected))
    assert model.card.loaded == "classifier.npz"
    assert (model.preprocessing.color, model.preprocessing.size) == ({3: "BGR", 1: "L"}[channels], (321, 481))
    assert not [layer for layer in model.layers if layer.name.startswith("conv10")]


def test_a_step_trains_all_but_the_interpolation(randomize):
    model = randomize(HED(trunk="SqueezeNetV1_1", output="all"), seed=3)
    model.compile(keras.optimizers.SGD(1e-3), BalancedEdgeLoss(normalize=True), jit_compile=False)
    before = {v.path: v.numpy() for v in model.weights}
    drawn = np.random.default_rng(0).choice([0.0, 0.0, 1.0], (2, 40, 44)).astype("float32")
    model.train_on_batch(images(40, 44, n=2), dict.fromkeys(model.output, drawn))
    same = [v.path for v in model.weights if np.array_equal(v.numpy(), before[v.path])]
    assert same == [f"upsample_dsn{i}/kernel" for i in range(1, 5)]
    assert all(np.isfinite(v.numpy()).all() for v in model.weights)


def test_mixed_float16_gives_float32_probabilities(randomize):
    plain = randomize(HED(trunk="SqueezeNetV1_1", output="average"))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = HED(trunk="SqueezeNetV1_1", output="average")
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(plain.get_weights())
    found = np.asarray(model(images(40, 50)))
    assert (found.dtype, model.get_layer("fire9").compute_dtype) == (np.float32, "float16")
    np.testing.assert_allclose(found, plain(images(40, 50)), atol=0.02)


# ------------------------------------------------------------------------------------------------ exports


def test_exports_take_any_size(randomize, tmp_path):
    model = randomize(HED(trunk="SqueezeNetV1_1"))
    kv.export.to_saved_model(model, tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serve"]
    lite = tf.lite.TFLiteConverter.from_keras_model(model)
    interpreter = Interpreter(model_content=lite.convert())
    for size in [(1, 1), (33, 50), (64, 47)]:
        x = images(*size)
        expected = np.asarray(model(x))
        np.testing.assert_allclose(served(tf.constant(x))["probability"], expected, atol=1e-5)
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_fixed_size_goes_to_litert_with_its_costs_known(randomize, tmp_path):
    model = randomize(HED(trunk="SqueezeNetV1_1", input_shape=(48, 64, 3)))
    assert model.card.multiply_adds == multiply_adds(model, 48 + 31, 64 + 31)
    parity = kv.export.to_litert(model, tmp_path / "hed.tflite", uint8_input=True)
    assert parity.max_difference <= parity.bound


def multiply_adds(model, *padded):
    """By hand: the trunk's on the padded image, scores, interpolation of 1 channel, and fusion of four."""
    trunk = kv.applications.SqueezeNetV1_1(weights=None, include_top=False, input_shape=(*padded, 3))
    total = trunk.card.multiply_adds + 48 * 64 * 4
    for i, (channels, kernel) in enumerate(zip((64, 128, 256, 512), (3, 7, 15, 31), strict=True), 1):
        cells = np.prod(model.get_layer(f"score_dsn{i}").output.shape[1:3])
        total += cells * (channels + kernel**2)
    return total


JAX = """
    import sys, numpy as np, keras, keras_vision as kv
    assert keras.backend.backend() == "jax"
    model = kv.edges.HED(sys.argv[1] + "/hed.npz", trunk="SqueezeNetV1_1")
    np.save(sys.argv[1] + "/jax.npy", np.asarray(model(np.load(sys.argv[1] + "/x.npy"))))
"""


def test_jax_gives_the_same_probabilities(randomize, tmp_path, on_jax):
    model = randomize(HED(trunk="SqueezeNetV1_1"))
    kv.weights.save(model, tmp_path / "hed.npz")
    np.save(tmp_path / "x.npy", images(33, 46))
    subprocess.run([sys.executable, "-c", textwrap.dedent(JAX), str(tmp_path)], check=True, env=on_jax)
    expected = np.asarray(model(images(33, 46)))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(np.load(tmp_path / "jax.npy"), expected, atol=1e-4)


def test_names_of_layers_are_checkpoint_keys():
    names = [layer.name for layer in HED(trunk="SqueezeNetV1_1").layers if layer.weights]
    assert [name for name in names if not re.match("conv1$|fire", name)] == [
        *itertools.chain(*[[f"score_dsn{i}" for i in range(1, 5)], [f"upsample_dsn{i}" for i in range(1, 5)]]), "fuse",
    ]  # fmt: skip

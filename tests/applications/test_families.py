"""What holds for every registered model; a new model is tested by being registered (and fails without its counts)."""

import functools
import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from published_networks import COUNTS, EXITS, FEATURES, MODELS

import keras_vision as kv
from keras_vision import graph
from keras_vision.model import VisionModel

SR_COUNTS = {0.125: 1_248_424, 0.25: 1_967_080, 0.5: 3_404_392, 0.75: 4_841_704, 1.0: 6_279_016}
PCT_COUNTS = {0.01: 1_473_128, 0.25: 2_421_352, 0.5: 3_404_392, 0.75: 4_387_432, 0.99: 5_325_416}  # at sr=0.5
SPP_COUNTS = {None: 62_357_608, (6, 3, 2, 1): 77_037_672, (4, 3, 2, 1): 56_066_152}
SETTINGS = [  # trainable parameters of settings other than a row's
    ("AllCNNC", dict(classes=100), 1_387_108),
    ("AlexNet", dict(groups=2), 60_965_224),
    ("BNInception", dict(use_bias=True), 11_295_240),
    ("BNInception", dict(gamma=False), 11_275_208),
    ("GoogLeNet", dict(auxiliary="strided"), 13_378_280),
    ("GoogLeNetBN", dict(auxiliary="adaptive"), 13_004_888),
    pytest.param("DenseNetBC100K12", dict(depth=250, growth=24), 15_324_406, marks=pytest.mark.slow),
    pytest.param("DenseNetBC100K12", dict(depth=190, growth=40), 25_624_430, marks=pytest.mark.slow),
    ("ResNet50", dict(layout="torch"), 25_557_032),
    ("ResNet101", dict(layout="torch"), 44_549_160),
    ("ResNet152", dict(layout="torch"), 60_192_808),
    *[("SPPNetZF5", dict(pyramid=pyramid), count) for pyramid, count in SPP_COUNTS.items()],
    ("SPPNetConvnet5", dict(pyramid=None), 62_378_344),
    ("SPPNetConvnet5", dict(pyramid=(4, 3, 2, 1)), 56_086_888),
    ("SPPNetOverfeat5", dict(pyramid=None), 102_908_520),
    ("SPPNetOverfeat5", dict(pyramid=(4, 3, 2, 1)), 90_325_608),
    ("SPPNetOverfeat7", dict(pyramid=None), 107_628_136),
    ("SPPNetOverfeat7", dict(pyramid=(4, 3, 2, 1)), 95_045_224),
    ("ResNet110CIFAR", dict(classes=100), 1_733_812),
    ("ShakeDropPyramidNet110CIFAR", dict(alpha=48), 1_739_730),
    ("ShakeDropPyramidNet110CIFAR", dict(alpha=84), 3_855_054),
    ("InceptionV3", dict(gamma=True), 23_834_568),
    ("InceptionV3", dict(gamma=True, auxiliary="batch_norm"), 23_834_568 + 3_326_696),
    *[("SqueezeNet", dict(sr=sr), count) for sr, count in SR_COUNTS.items()],
    *[("SqueezeNet", dict(sr=0.5, pct_3x3=pct), count) for pct, count in PCT_COUNTS.items()],
]
SMALLEST = (
    *("BNInception", "CaffeNet", "GoogLeNet", "InceptionV3_79", "SqueezeNetV1_1", "SqueezeNetComplexBypass"),
    *("VGG11", "VGG11LRN", "VGG11BN", "Xception", "ResNet18", "ResNet20CIFAR", "DenseNet40K12"),
    *("SEResNet50", "ShakeShake26_32CIFAR", "BaseCNNA", "PReLUStudyNet14"),
    *("StochasticDepthResNet110", "ResidualAttention56CIFAR", "SPPNetZF5", "TinyImageNet5", *EXITS),
)
SHORTER = {  # of which every block survives: a dropped one learns nothing
    "PReLUStudyNet14": dict(pyramid=(2, 1)),
    "StochasticDepthResNet110": dict(n=1, survival=1.0),
    "StochasticDepthResNet1202": dict(survival=1.0),
    "BResNet110": dict(n=1),
    "SPPNetZF5": dict(pyramid=(2, 1)),
}
EACH = [n if n in SMALLEST else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]


@pytest.fixture
def randomize(randomize, undrawn):
    """Its models are built without drawing the weights that it replaces."""
    return randomize


def build(name: str, **arguments) -> VisionModel:
    """A model with random weights and, where its classifier is huge, a smaller one."""
    return kv.create_model(name, weights=None, **SHORTER.get(name, {}), **arguments)


@functools.cache
def small_shape(name: str) -> tuple[int, int, int]:
    """Of an input that leaves two cells of the last feature map."""
    size = graph.minimum_size(build(name, include_top=False))[0] + 32
    return size, size, 1 if name == "BLeNet" else 3


def features(name: str) -> int:
    return next(width for family, width in FEATURES.items() if name.startswith(family))


def images(shape: tuple[int, int, int], n: int = 2) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (n, *shape)).astype("float32")


def scores(model: VisionModel, x: np.ndarray) -> list[np.ndarray]:
    """Of each classifier of a model, the only one of most."""
    return [np.asarray(given) for given in keras.tree.flatten(model(x))]


@pytest.mark.parametrize("name", EACH)
def test_counts_without_the_classifier_are_the_published_ones(name, undrawn):
    model = kv.create_model(name, include_top=False, weights=None)
    assert (model.card.parameters, model.card.trainable_parameters) == COUNTS[name][2:]
    assert model.input_shape == (None, None, None, 1 if name == "BLeNet" else 3)
    assert model.output_shape == (None, None, None, features(name))


@pytest.mark.parametrize(("name", "settings", "count"), SETTINGS)
def test_parameter_counts_of_settings(name, settings, count, undrawn):
    assert kv.create_model(name, weights=None, **settings).card.trainable_parameters == count


@pytest.mark.parametrize("name", EACH)
def test_pooling_reduces_the_last_map(name, randomize):
    shape = small_shape(name)
    maps = randomize(build(name, include_top=False))
    expected = np.asarray(maps(images(shape)))
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        pooled = build(name, include_top=False, pooling=pooling, input_shape=shape)
        pooled.set_weights(maps.get_weights())
        assert pooled.output_shape == (None, features(name))
        np.testing.assert_allclose(pooled(images(shape)), reduce(expected, axis=(1, 2)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", EACH)
def test_no_activation_gives_the_logits(name, randomize):
    arguments = dict(classes=10, input_shape=small_shape(name))
    probabilities = randomize(build(name, **arguments))
    logits = build(name, classifier_activation=None, **arguments)
    logits.set_weights(probabilities.get_weights())
    x = images(small_shape(name))
    assert (probabilities.card.output, logits.card.output) == ("probability", "logit")
    for found, expected in zip(scores(probabilities, x), scores(logits, x), strict=True):
        np.testing.assert_allclose(found, keras.ops.softmax(expected), atol=1e-6)


def assert_one_step_trains_everything(model, labels):
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy", run_eagerly=True, jit_compile=False)
    before = [v.numpy() for v in model.trainable_variables]
    model.train_on_batch(images(model.input_shape[1:]), labels)
    after = [v.numpy() for v in model.trainable_variables]
    assert all(np.isfinite(a).all() for a in after)
    paths = [v.path for v in model.trainable_variables]
    assert not [path for path, b, a in zip(paths, before, after, strict=True) if np.array_equal(b, a)]


@pytest.mark.parametrize("name", EACH)
def test_one_training_step_changes_every_weight(name, randomize):
    model = build(name, classes=10, input_shape=small_shape(name))
    labels = [np.array([3, 7])] * len(model.outputs)
    assert_one_step_trains_everything(randomize(model), labels if name in EXITS else labels[0])


@pytest.mark.parametrize(("name", "kind", "size"), [
    ("InceptionV3_79", "batch_norm", 79),
    ("InceptionV3_79", "dropout", 79),
    ("GoogLeNet", "strided", 96),
    ("GoogLeNetBN", "adaptive", 64),
])  # fmt: skip
def test_one_training_step_trains_the_auxiliary_heads(name, kind, size, randomize):
    model = kv.create_model(name, weights=None, classes=10, auxiliary=kind, input_shape=(size, size, 3))
    assert [tuple(shape) for shape in model.output_shape] == [(None, 10)] * (2 if name == "InceptionV3_79" else 3)
    keras.utils.set_random_seed(0)
    assert_one_step_trains_everything(randomize(model), [np.array([3, 7])] * len(model.outputs))


@pytest.mark.parametrize("name", ["GoogLeNet", "InceptionV3"])
def test_auxiliary_head_without_the_top_is_an_error(name):
    for off in (dict(include_top=False), dict(features_only=True)):
        with pytest.raises(kv.KerasVisionError, match="needs include_top=True"):
            kv.create_model(name, weights=None, auxiliary="dropout", **off)


@pytest.mark.parametrize("name", EACH)
def test_keras_file_keeps_outputs_card_and_labels(name, randomize, tmp_path):
    model = randomize(build(name, classes=4, input_shape=small_shape(name)))
    model.labels = ["cat", "dog", "café", "4"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is VisionModel
    assert (loaded.card, loaded.labels) == (model.card, model.labels)
    x = images(small_shape(name))
    for found, expected in zip(scores(loaded, x), scores(model, x), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "name",
    [
        "SqueezeNetV1_1",
        "InceptionV3_79",
        "VGG11LRN",
        "VGG11BN",
        "CaffeNet",
        "GoogLeNet",
        "ResNet18",
        "BaseCNNA",
        "PReLUStudyNet14",
        "StochasticDepthResNet110",
        "ResidualAttention56CIFAR",
        "SPPNetZF5",
        "TinyImageNet5",
        *EXITS,
    ],
)
def test_mixed_float16_gives_float32_probabilities(name):
    shape = small_shape(name)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build(name, classes=10, input_shape=shape)
    finally:
        keras.config.set_dtype_policy("float32")
    assert next(layer for layer in model.layers if layer.weights).compute_dtype == "float16"
    given = scores(model, images(shape))
    assert len(given) == EXITS.get(name, 1)
    for probabilities in given:
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


JAX = """
    import jax, json, sys, numpy as np, keras, keras_vision as kv
    assert keras.backend.backend() == "jax"
    for kind in ("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"):  # each shape's is compiled
        getattr(keras.initializers, kind).__call__ = lambda self, shape, dtype=None, **_: np.zeros(shape, "float32")
    folder, shorter, names = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
    outputs = {}
    for name in names:
        x = np.load(f"{folder}/{name}.npy")
        settings = dict(classes=10, classifier_activation=None, input_shape=x.shape[1:], **shorter.get(name, {}))
        model = kv.create_model(name, weights=None, **settings)
        model.load_weights(f"{folder}/{name}.weights.h5")
        compiled = jax.jit(lambda *given: model.stateless_call(*given, training=False)[0])  # in a quarter of the time
        weights = model.trainable_variables, model.non_trainable_variables
        given = keras.tree.flatten(compiled(*([v.value for v in group] for group in weights), x))
        outputs |= {f"{name} {number}": np.asarray(own) for number, own in enumerate(given)}
    np.savez(f"{folder}/jax.npz", **outputs)
"""


def test_jax_gives_the_same_logits(tmp_path, randomize, on_jax):
    """Of every small model in one process: most of its time goes into the start and into shared compilations."""
    tensorflow, rounding = {}, {}
    for name in SMALLEST:
        x = images(small_shape(name))
        model = randomize(build(name, classes=10, classifier_activation=None, input_shape=x.shape[1:]))
        model.save_weights(tmp_path / f"{name}.weights.h5")
        np.save(tmp_path / f"{name}.npy", x)
        shaken = scores(model, x * np.float32(1 + 1e-6))  # rounding alone: 1e-4 of the range in SEResNet50
        for number, (given, other) in enumerate(zip(scores(model, x), shaken, strict=True)):
            tensorflow[f"{name} {number}"], rounding[f"{name} {number}"] = given, np.abs(other - given).max()
    command = [sys.executable, "-c", textwrap.dedent(JAX), str(tmp_path), json.dumps(SHORTER), *SMALLEST]
    subprocess.run(command, check=True, env=on_jax)
    jax = np.load(tmp_path / "jax.npz")
    assert set(jax) == set(tensorflow)
    assert min(map(np.ptp, tensorflow.values())) > 0.1
    differences = {name: np.abs(jax[name] - expected).max() for name, expected in tensorflow.items()}
    allowed = {name: 1e-4 * np.ptp(expected) + 2 * rounding[name] for name, expected in tensorflow.items()}
    assert {name: found for name, found in differences.items() if found > allowed[name]} == {}

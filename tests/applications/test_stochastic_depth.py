"""Networks with stochastic depth: survival of every block, inference and training against what the blocks add up to."""

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.layers import SkippedBranch, StochasticDepth

X = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype("float32")


def build(name="StochasticDepthResNet110", **settings):
    return kv.create_model(name, weights=None, **settings)


def survival(model):
    """Probabilities of the blocks from the first to the last, of nested stages too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, SkippedBranch):
            found += [one.survival_probability for one in layer.layers if isinstance(one, StochasticDepth)]
        elif isinstance(layer, keras.Model):
            found += survival(layer)
    return found


def test_survival_falls_linearly_to_a_half_over_54_blocks(undrawn):
    probabilities = survival(build())
    np.testing.assert_allclose(probabilities, [1 - k / 54 * 0.5 for k in range(1, 55)])
    assert sum(probabilities) == pytest.approx(40.25)  # expected depth, (3 * 54 - 1) / 4


@pytest.mark.parametrize("name", ["StochasticDepthResNet110", "StochasticDepthResNet1202"])
def test_rates_of_both_rules(name):
    np.testing.assert_allclose(survival(build(name, n=1, survival=0.4)), [0.8, 0.6, 0.4])
    np.testing.assert_allclose(survival(build(name, n=1, survival=0.4, decay="uniform")), [0.4, 0.4, 0.4])


@pytest.mark.slow
def test_the_long_net_has_600_blocks(undrawn):
    probabilities = survival(build("StochasticDepthResNet1202"))
    np.testing.assert_allclose(probabilities, [1 - k / 600 * 0.5 for k in range(1, 601)])


def zeroed(model, stage):
    """Take a block's branch away: its last batch norm gives zeros."""
    layer = model.get_layer(f"conv{stage}_1_add").get_layer(f"conv{stage}_1_2_bn")
    layer.gamma.assign(0 * layer.gamma)
    layer.beta.assign(0 * layer.beta)


@pytest.mark.parametrize("size", [(32, 32), (17, 22)])
def test_inference_weighs_each_branch_with_its_survival(size, randomize):
    """Equation 5, and the shortcut by hand."""
    x = np.random.default_rng(0).normal(0, 1, (2, *size, 3)).astype("float32")
    model = randomize(build(n=1, survival=0.25, include_top=False))
    inner = keras.Model(model.input, [model.get_layer(name).output for name in ("conv2_1", "conv3_1")])
    before, after = (np.asarray(y) for y in inner(x))
    zeroed(model, 3)
    shortcut = np.zeros_like(after)
    for i, j in np.ndindex(*after.shape[1:3]):
        shortcut[:, i, j, :16] = before[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean(axis=(1, 2))
    np.testing.assert_allclose(inner(x)[1], shortcut, atol=1e-6)  # after a ReLU, means are not negative
    whole = randomize(build(n=1, survival=1.0, include_top=False))
    block = whole.get_layer("conv3_1_add")
    branch = np.asarray(block(before)) - shortcut
    np.testing.assert_allclose(after, np.maximum(shortcut + 0.5 * branch, 0), atol=1e-4)


def test_with_survival_of_one_it_is_the_constant_net(randomize):
    constant = randomize(kv.create_model("ResNet20CIFAR", weights=None, n=2, shortcut="average"))
    for name in ("StochasticDepthResNet110", "StochasticDepthResNet1202"):
        model = build(name, n=2, survival=1.0)
        model.set_weights(constant.get_weights())
        np.testing.assert_allclose(model(X), constant(X), atol=1e-6)
        np.testing.assert_allclose(model(X, training=True), constant(X, training=True), atol=1e-5)


def test_training_drops_blocks_and_leaves_their_weights_alone(randomize):
    model = randomize(build(n=1, survival=1e-6, decay="uniform", input_shape=(16, 16, 3)))
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", jit_compile=False)
    blocks = [w for layer in model.layers if isinstance(layer, SkippedBranch) for w in layer.weights]
    before, classifier = [w.numpy() for w in blocks], model.get_layer("fc").kernel.numpy()
    model.train_on_batch(X[:, :16, :16], np.array([1, 2]))
    for old, new in zip(before, blocks, strict=True):
        np.testing.assert_array_equal(old, new)  # also the statistics of their batch norms
    assert not np.array_equal(classifier, model.get_layer("fc").kernel)


@pytest.mark.parametrize(("setting", "says"), [
    (dict(decay="cosine"), "decay='cosine'; accepted: 'linear', 'uniform'"),
    (dict(survival=0), "a survival probability of 0; give one above 0"),
    (dict(survival=1.5), "a survival probability of 1.5"),
    (dict(mode="image"), "mode='image'; accepted: 'batch', 'sample'"),
    (dict(shortcut=None), "shortcut=None; a block that is dropped is its shortcut"),
    (dict(n=0), "n=0; a net of 6n [+] 2 layers"),
])  # fmt: skip
def test_wrong_settings_are_named(setting, says):
    with pytest.raises(KerasVisionError, match=says):
        build(**setting)


def test_weights_go_from_one_depth_rule_to_the_constant_net(randomize, tmp_path):
    model = randomize(build(n=2))
    kv.weights.save(model, tmp_path / "trained.npz")
    constant = kv.create_model("ResNet20CIFAR", weights=tmp_path / "trained.npz", n=2, shortcut="average")
    for ours, theirs in zip(model.get_weights(), constant.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_exports_give_the_same_outputs(randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(build(n=1))
    for checked in (kv.export.to_litert(model, tmp_path / "a.tflite"), kv.export.to_saved_model(model, tmp_path / "a")):
        assert checked.max_difference <= 1e-4 * checked.output_range

"""SENet against timm's run of the same seeded weights, and its rows against the paper's tables."""

import keras
import make_timm
import make_torchvision
import numpy as np
import pytest
from naive_bn_inception import BatchNormNet, forward, normalise
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import SEInception, SENet154, SEResNet50, SEResNeXt50, _senet_files, senet
from keras_vision.errors import KerasVisionError

TIMM = {"legacy_seresnet50": SEResNet50, "legacy_seresnext50_32x4d": SEResNeXt50, "legacy_senet154": SENet154}
TIMM["seresnet50"] = SEResNet50
VARIABLES = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
VARIABLES |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
SMALL = dict(blocks=(1, 1, 1, 1), weights=None, input_shape=(48, 48, 3), classes=5)


def state_dict(model, modules):
    """Seeded arrays by timm's names, in PyTorch's layout, of the shapes of our variables."""
    names = {ours: theirs for theirs, ours in modules(**senet.TABLE[model.card.name])}
    arrays = {}
    for layer in model.layers:
        for variable in layer.weights:
            key, shape = f"{names[layer.name]}.{VARIABLES[variable.name]}", tuple(variable.shape)
            if len(shape) > 1:
                shape = shape[::-1] if len(shape) == 2 else (shape[3], shape[2], *shape[:2])
            if ".se" in key and len(shape) == 2:
                shape = (*shape, 1, 1)
            arrays[key] = make_timm.seeded(key, shape)
    return arrays


@pytest.mark.parametrize("name", [
    "legacy_seresnet50",
    "seresnet50",
    pytest.param("legacy_seresnext50_32x4d", marks=pytest.mark.slow),
    pytest.param("legacy_senet154", marks=pytest.mark.slow),
])  # fmt: skip
def test_logits_equal_timms(name, tmp_path):
    size = make_timm.NETWORKS[name]
    arguments = dict(classifier_activation=None, input_shape=(size, size, 3))
    legacy = name.startswith("legacy")  # the others have torchvision's stride and pool
    modules = _senet_files.torch_modules if legacy else _senet_files.timm_modules
    arguments |= {} if legacy else dict(stride_in=2, pool="padded")
    save_file(state_dict(TIMM[name](weights=None, **arguments), modules), tmp_path / "weights.safetensors")
    model = TIMM[name](weights=tmp_path / "weights.safetensors", **arguments)
    expected = np.load(make_timm.FILE)[name]
    actual = np.asarray(model(make_torchvision.image(size)))
    assert 0.1 <= expected.std() <= 10
    assert np.abs(actual - expected).max() <= 1e-4 * expected.std()


# ------------------------------------------------------------------------------------------- rows of the table


def convolutions(model, block):
    """Kernel size, filters, groups and stride of a block's convolutions and of its shortcut, if that has one."""
    names = [f"{block}_{part}_conv" for part in ("1", "2", "3", "shortcut")]
    layers = [layer for layer in model.layers if layer.name in names]
    layers.sort(key=lambda layer: names.index(layer.name))
    return [(layer.kernel_size[0], layer.filters, layer.groups, layer.strides[0]) for layer in layers]


def test_seresnet_has_the_stride_on_the_first_1x1():
    model = SEResNet50(**{**SMALL, "blocks": (1, 2, 1, 1)})
    assert convolutions(model, "conv2_1") == [(1, 64, 1, 1), (3, 64, 1, 1), (1, 256, 1, 1), (1, 256, 1, 1)]
    assert convolutions(model, "conv3_1") == [(1, 128, 1, 2), (3, 128, 1, 1), (1, 512, 1, 1), (1, 512, 1, 2)]
    assert convolutions(model, "conv3_2") == [(1, 128, 1, 1), (3, 128, 1, 1), (1, 512, 1, 1)]


def test_seresnext_has_32_groups_of_4_and_the_stride_on_the_3x3():
    model = SEResNeXt50(**SMALL)
    assert convolutions(model, "conv2_1") == [(1, 128, 1, 1), (3, 128, 32, 1), (1, 256, 1, 1), (1, 256, 1, 1)]
    assert convolutions(model, "conv5_1") == [(1, 1024, 1, 1), (3, 1024, 32, 2), (1, 2048, 1, 1), (1, 2048, 1, 2)]


def test_senet154_halves_the_first_1x1_and_projects_with_3x3():
    model = SENet154(**SMALL)
    assert convolutions(model, "conv2_1") == [(1, 128, 1, 1), (3, 256, 64, 1), (1, 256, 1, 1), (1, 256, 1, 1)]
    assert convolutions(model, "conv5_1") == [(1, 1024, 1, 1), (3, 2048, 64, 2), (1, 2048, 1, 1), (3, 2048, 1, 2)]
    assert [model.get_layer(f"conv1_{n}_conv").filters for n in (1, 2, 3)] == [64, 64, 128]
    assert model.get_layer("fc_drop").rate == 0.2


def test_depth_counts_the_weight_layers_of_the_name():
    for name, depth in (("SEResNet50", 50), ("SEResNet101", 101), ("SEResNet152", 152), ("SENet154", 154)):
        row = senet.TABLE[name]
        assert 3 * sum(row["blocks"]) + len(row["stem"]) + 1 == depth


@pytest.mark.parametrize("place", ["standard", "pre", "post", "identity"])
def test_every_placement_gives_the_same_taps_and_exports(place, randomize, tmp_path):
    model = randomize(SEResNet50(placement=place, **SMALL))
    taps = kv.taps(model)
    assert [taps[f"conv{stage}_1"].channels for stage in (2, 3, 4, 5)] == [256, 512, 1024, 2048]
    narrow = {layer.units for layer in model.layers if layer.name.endswith("_se_fc1")}
    assert narrow == ({4, 16, 32, 64} if place == "pre" else {16, 32, 64, 128})
    checked = kv.export.to_litert(model, tmp_path / "model.tflite")
    assert checked.max_difference <= 1e-4 * checked.output_range


def test_grouped_convolutions_train_eagerly_in_a_graph_and_with_xla(randomize):
    """Keras compiles each with XLA in all three ways, so that none depends on what TensorFlow has for a CPU."""
    x = np.random.default_rng(0).normal(0, 1, (2, 48, 48, 3)).astype("float32")
    losses = []
    for settings in (dict(run_eagerly=True, jit_compile=False), dict(jit_compile=False), dict(jit_compile=True)):
        model = randomize(SEResNeXt50(**SMALL))
        model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", **settings)
        before = model.get_layer("conv3_1_2_conv").kernel.numpy()
        losses.append([float(model.train_on_batch(x, np.array([1, 3]))) for _ in range(2)])
        assert not np.array_equal(model.get_layer("conv3_1_2_conv").kernel, before)
    np.testing.assert_allclose(losses[1:], losses[:1] * 2, rtol=1e-3)


def test_groups_export(randomize, tmp_path):
    model = randomize(SEResNeXt50(**SMALL))
    for checked in (
        kv.export.to_litert(model, tmp_path / "model.tflite"),
        kv.export.to_saved_model(model, tmp_path / "saved"),
    ):
        assert checked.max_difference <= 1e-4 * checked.output_range


def test_output_stride_keeps_names_and_sizes():
    model = SENet154(weights=None, blocks=(1, 1, 1, 1), include_top=False, output_stride=8, input_shape=(64, 64, 3))
    assert model.output_shape == (None, 8, 8, 2048)
    assert model.get_layer("conv5_1_2_conv").dilation_rate == (2, 2)


@pytest.mark.parametrize(("arguments", "says"), [
    (dict(reduction=257), "reduction=257 at conv2_1_se, which has 256 channels"),
    (dict(reduction=0), "reduction=0"),
    (dict(placement="after"), "placement='after'; accepted: 'standard', 'pre', 'post', 'identity'"),
    (dict(groups=3), "divisible by groups=3"),
    (dict(groups=0), "divisible by groups=0"),
    (dict(blocks=(1, 1, 1)), "give four whole numbers"),
    (dict(blocks=None), "give four whole numbers"),
    (dict(projection=2), "kernel 1 or 3"),
    (dict(input_shape=(2, 224, 3)), "at least 3 x 3 pixels"),
])  # fmt: skip
def test_bad_arguments(arguments, says):
    with pytest.raises(KerasVisionError, match=says):
        SEResNet50(weights=None, **arguments)


# -------------------------------------------------------------------------------------------------- SE-Inception


class CaffeNet(BatchNormNet):
    """The authors' network without biases, in Caffe's blobs under their names."""

    def renamed(self, name):
        name = name.replace("double_3x3_1", "double3x3a").replace("double_3x3_2", "double3x3b")
        name = name.replace("double_3x3", "double3x3").replace("last_linear", "classifier")
        parts = name.split("_")
        module = 2 if parts[0] == "inception" else 1
        return "_".join(parts[:module]) + "/" + "_".join(parts[module:]) if len(parts) > 1 else name

    def weights(self, name, shape):
        kernel, bias = super().weights(name, shape)
        blobs = [self.arrays.pop(f"{name}.blobs.{i}") for i in (0, 1)]
        self.arrays[f"{self.renamed(name)}.blobs.0"] = blobs[0]
        if name != "last_linear":
            return kernel, 0 * bias
        self.arrays["classifier.blobs.1"] = blobs[1]
        return kernel, bias

    def batch_norm(self, x, name):
        gamma, beta, mean, variance = self.seeded_norm(x.shape[1])
        own, weight = f"{self.renamed(name.removesuffix('_bn'))}/bn", np.float32(2.5)
        blobs = (mean * weight, variance * weight, np.array([weight]))
        self.arrays |= {f"{own}.blobs.{i}": blob for i, blob in enumerate(blobs)}
        self.arrays |= {f"{own}/scale.blobs.0": gamma, f"{own}/scale.blobs.1": beta}
        return normalise(x, gamma, beta, mean, variance)

    def recalibrated(self, x, number):
        z = x.mean(axis=(2, 3))
        for part, units in (("down", x.shape[1] // 16), ("up", x.shape[1])):
            kernel = self.rng.normal(0, 2 / np.sqrt(z.shape[1]), (units, z.shape[1], 1, 1)).astype("float32")
            bias = self.rng.normal(0, 0.5, units).astype("float32")
            layer = f"inception_{number}_1x1_{part}"
            self.arrays |= {f"{layer}.blobs.0": kernel, f"{layer}.blobs.1": bias}
            z = z @ kernel[:, :, 0, 0].T.astype("float64") + bias
            z = np.maximum(z, 0) if part == "down" else 1 / (1 + np.exp(-z))
        return x * z[:, :, None, None]


def test_seinception_equals_a_naive_forward_of_the_authors_network(tmp_path):
    net, images = CaffeNet(), np.random.default_rng(4).normal(0, 1, (2, 96, 96, 3)).astype("float32")
    expected = forward(net, images.transpose(0, 3, 1, 2).astype("float64"), classes=7)
    save_file(net.arrays, tmp_path / "released.safetensors")
    assert {"conv1/7x7_s2/bn/scale.blobs.1", "inception_4e/double3x3b.blobs.0", "inception_5b_1x1_up.blobs.1"} <= set(
        net.arrays
    )
    arguments = dict(classifier_activation=None, input_shape=(96, 96, 3))
    model = SEInception(weights=tmp_path / "released.safetensors", **arguments)
    assert np.ptp(expected) > 0.1
    assert np.abs(np.asarray(model(images)) - expected).max() <= 1e-5 * np.ptp(expected)


def test_seinception_with_open_gates_is_bn_inception(randomize):
    """A sigmoid of a large bias is 1."""
    gated = randomize(SEInception(weights=None, include_top=False, input_shape=(64, 64, 3)))
    plain = kv.applications.BNInception(weights=None, include_top=False, input_shape=(64, 64, 3))
    for layer in gated.layers:
        if layer.name.endswith("_se_fc2"):
            layer.set_weights([np.zeros_like(layer.get_weights()[0]), np.full(layer.units, 50.0)])
        elif layer.weights and not layer.name.endswith("_se_fc1"):
            plain.get_layer(layer.name).set_weights(layer.get_weights())
    x = np.random.default_rng(0).normal(0, 1, (1, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(np.asarray(gated(x)), np.asarray(plain(x)), rtol=1e-6, atol=1e-6)

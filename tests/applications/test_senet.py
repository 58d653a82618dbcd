"""SENet against timm's run of the same seeded weights, and its rows against the paper's tables."""

import keras
import make_timm
import make_torchvision
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import SENet154, SEResNet50, SEResNeXt50, senet
from keras_vision.errors import KerasVisionError

TIMM = {"legacy_seresnet50": SEResNet50, "legacy_seresnext50_32x4d": SEResNeXt50, "legacy_senet154": SENet154}
VARIABLES = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
VARIABLES |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
SMALL = dict(blocks=(1, 1, 1, 1), weights=None, input_shape=(48, 48, 3), classes=5)


def state_dict(model):
    """Seeded arrays by timm's names, in PyTorch's layout, of the shapes of our variables."""
    names = {ours: theirs for theirs, ours in senet.torch_modules(**senet.TABLE[model.card.name])}
    arrays = {}
    for layer in model.layers:
        for variable in layer.weights:
            key, shape = f"{names[layer.name]}.{VARIABLES[variable.name]}", tuple(variable.shape)
            if len(shape) > 1:
                shape = shape[::-1] if len(shape) == 2 else (shape[3], shape[2], *shape[:2])
            if "se_module" in key and len(shape) == 2:
                shape = (*shape, 1, 1)
            arrays[key] = make_timm.seeded(key, shape)
    return arrays


@pytest.mark.parametrize("name", [
    "legacy_seresnet50",
    pytest.param("legacy_seresnext50_32x4d", marks=pytest.mark.slow),
    pytest.param("legacy_senet154", marks=pytest.mark.slow),
])  # fmt: skip
def test_logits_equal_timms(name, tmp_path):
    size = make_timm.NETWORKS[name]
    arguments = dict(classifier_activation=None, input_shape=(size, size, 3))
    save_file(state_dict(TIMM[name](weights=None, **arguments)), tmp_path / "weights.safetensors")
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
    assert model.get_layer("drop").rate == 0.2


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

"""Residual Attention Networks: sizes and masks against NumPy, and what the arms of the paper differ in."""

import keras
import numpy as np
import pytest
from closeness import close
from naive_caffe import correlate
from scipy.special import expit

import keras_vision as kv
from keras_vision.errors import KerasVisionError

SMALL = "ResidualAttention56CIFAR"
X = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype("float32")


def build(name=SMALL, **settings):
    return kv.create_model(name, weights=None, **settings)


def values(model, *names, x=X):
    return [np.asarray(y) for y in keras.Model(model.input, [model.get_layer(name).output for name in names])(x)]


# ----------------------------------------------------------------------------------------------- tables


def norm(channels):
    return 2 * channels


def unit(inputs, outputs, projects=False):
    inner = outputs // 4
    weights = norm(inputs) + inputs * inner + norm(inner) + 9 * inner**2 + norm(inner) + inner * outputs
    return weights + (inputs * outputs if projects or inputs != outputs else 0)


def attention(c, downs):
    masks = downs + 1 + 2 * (downs - 1)
    return (4 + masks) * unit(c, c) + 2 * norm(c) + 2 * c * c


def parameters(modules, widths, downs, stem, kernel, classes):
    total, inputs = kernel**2 * 3 * stem + norm(stem), stem
    for count, width, down in zip(modules, widths, downs, strict=False):
        total += unit(inputs, width, True) + count * attention(width, down)
        inputs = width
    total += unit(inputs, widths[3], True) + 2 * unit(widths[3], widths[3])
    return total + norm(widths[3]) + (widths[3] + 1) * classes


@pytest.mark.parametrize(("name", "modules", "published"), [
    ("ResidualAttention56", (1, 1, 1), 31_810_728), ("ResidualAttention92", (1, 2, 3), 52_466_344),
])  # fmt: skip
def test_imagenet_nets_have_the_released_sizes(name, modules, published, undrawn):
    by_hand = parameters(modules, (256, 512, 1024, 2048), (3, 2, 1), 64, 7, 1000)
    assert kv.model_card(name).trainable_parameters == by_hand == published


@pytest.mark.parametrize(("m", "depth", "millions"), [(1, 56, None), (2, 92, 1.9), (6, 236, 5.1), (12, 452, 8.6)])
def test_cifar_nets_have_about_the_published_sizes(m, depth, millions, undrawn):
    by_hand = parameters((m,) * 3, (64, 128, 256, 256), (2, 1, 1), 16, 3, 10)
    assert millions is None or by_hand / 1e6 == pytest.approx(millions, rel=0.09)
    if m <= 2:
        model = build(f"ResidualAttention{depth}CIFAR")
        assert model.card.trainable_parameters == by_hand


@pytest.mark.parametrize(("name", "depth"), [(SMALL, 56), ("ResidualAttention92", 92)])
def test_weight_layers_of_the_trunk_are_the_depth(name, depth, undrawn):
    convolutions = [layer.name for layer in build(name).layers if isinstance(layer, keras.layers.Conv2D)]
    assert len([c for c in convolutions if "_mask" not in c and "shortcut" not in c]) + 1 == depth


def test_taps_have_the_sizes_of_table_2(undrawn):
    taps = kv.taps(build("ResidualAttention92"))
    sizes = {name: taps[name].shape for name in ("conv1", "pool1", "unit1", "attention1_1", "attention2_2", "unit4_3")}
    assert sizes == {
        "conv1": (112, 112, 64), "pool1": (56, 56, 64), "unit1": (56, 56, 256), "attention1_1": (56, 56, 256),
        "attention2_2": (28, 28, 512), "unit4_3": (7, 7, 2048),
    }  # fmt: skip
    assert taps["attention1_1_mask_down3"].shape == (*taps["attention3_3_mask_down1"].shape[:2], 256)
    assert taps["attention3_3"].stride == (16, 16)
    assert not [name for name in taps if "resize" in name or "_up" in name]  # cells between others have no field


def test_a_module_sees_what_its_trunk_sees(undrawn):
    """The mask only weighs: three units of one 3x3 convolution each, and the last, add 2 * 4 cells."""
    taps = kv.taps(build(include_top=False))
    assert taps["attention1_1"].receptive_field[0] == taps["unit1"].receptive_field[0] + 8
    assert taps["attention2_1"].receptive_field[0] == taps["unit2"].receptive_field[0] + 16


# ---------------------------------------------------------------------------------------------- modules


def test_attention_residual_learning_and_the_naive_arm(randomize):
    """Equations 1 and 3."""
    for learning, formula in (("residual", lambda m, t: (1 + m) * t), ("naive", lambda m, t: m * t)):
        model = randomize(build(learning=learning, include_top=False))
        joined = "attended" if learning == "residual" else "product"
        trunk, mask, features = values(
            model, "attention1_1_trunk2", "attention1_1_mask", f"attention1_1_{joined}"
        )  # fmt: skip
        np.testing.assert_allclose(features, formula(mask, trunk), rtol=1e-4, atol=1e-5)
    assert "attention1_1_attended" not in [layer.name for layer in model.layers]


def naive_conv(model, x, name, stride=1):
    """Half a kernel of zeros on every side; `(n, h, w, c)`."""
    kernel = np.asarray(model.get_layer(f"{name}_conv").kernel, np.float64)
    pad = len(kernel) // 2
    x = np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)]).transpose(0, 3, 1, 2)
    return correlate(x, kernel.transpose(3, 2, 0, 1), stride).transpose(0, 2, 3, 1)


def naive_norm(model, x, name):
    """Batch norm with the collected statistics, and ReLU."""
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in model.get_layer(f"{name}_bn").weights)
    return np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)


def naive_unit(model, x, name, stride=1):
    """He et al.'s second bottleneck: the first norm and ReLU are the projection's, too; else the sum starts from x."""
    y = naive_norm(model, x, f"{name}_1_relu")
    projects = f"{name}_shortcut_conv" in [layer.name for layer in model.layers]
    shortcut = naive_conv(model, y, f"{name}_shortcut", stride) if projects else x
    y = naive_norm(model, naive_conv(model, y, f"{name}_1"), f"{name}_2_relu")
    y = naive_norm(model, naive_conv(model, y, f"{name}_2", stride), f"{name}_3_relu")
    return shortcut + naive_conv(model, y, f"{name}_3")


def test_units_and_the_end_of_a_mask_equal_numpy(randomize):
    model = randomize(build(include_top=False))
    for name, before, stride in (
        ("unit1", "conv1", 1), ("attention1_1_first", "unit1", 1), ("unit2", "attention1_1", 2),
        ("attention2_1_mask_down1", "attention2_1_mask_pool1", 1), ("unit4_3", "unit4_2", 1),
    ):  # fmt: skip
        x, y = values(model, before, name)
        assert close(y, naive_unit(model, x.astype(np.float64), name, stride)), name
    x, last = values(model, "attention1_1_mask_resize1", "attention1_1_mask_2_conv")
    x = x.astype(np.float64)
    for number in (1, 2):
        x = naive_norm(model, x, f"attention1_1_mask_{number}_relu")
        x = naive_conv(model, x, f"attention1_1_mask_{number}")
    assert close(last, x)


def mixed(x):
    return expit(x)


def channel(x):
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True))


def spatial(x):
    return mixed((x - x.mean(axis=(1, 2), keepdims=True)) / np.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-5))


@pytest.mark.parametrize("attention", [mixed, channel, spatial])
def test_masks_are_f1_f2_and_f3_of_section_3_2(attention, randomize):
    model = randomize(build(attention=attention.__name__, include_top=False))
    before, mask = values(model, "attention2_1_mask_2_conv", "attention2_1_mask")
    np.testing.assert_allclose(mask, attention(before.astype("float64")), atol=1e-4)
    assert len(model.weights) == len(build(include_top=False).weights)  # none of the three has any


def pooled(x):
    """3x3 and 2, rounded up: the last window hangs over."""
    rows, columns = (-(-(n - 3) // 2) + 1 for n in x.shape[1:3])
    windows = [
        [x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(1, 2)) for j in range(columns)] for i in range(rows)
    ]
    return np.array(windows).transpose(2, 0, 1, 3)


def interpolated(x, height, width):
    """Cell i lies at 2i + 1; before the first and after the last their value stays."""

    def along(values, size, axis):
        places = 2 * np.arange(values.shape[axis]) + 1
        return np.apply_along_axis(lambda line: np.interp(np.arange(size), places, line), axis, values)

    return along(along(x, height, 1), width, 2)


@pytest.mark.parametrize("size", [(32, 32), (21, 26)])
def test_a_mask_goes_down_and_comes_up_at_the_places_of_its_cells(size, randomize):
    x = np.random.default_rng(1).normal(0, 1, (1, *size, 3)).astype("float32")
    model = randomize(build(include_top=False))
    names = (
        "first",
        "mask_pool1",
        "mask_down1",
        "mask_pool2",
        "mask_bottom",
        "mask_skip1",
        "mask_resize2",
        "mask_sum1",
    )
    names += ("mask_up1", "mask_resize1")
    first, pool1, down1, pool2, bottom, skip, resized, total, up, out = values(
        model, *[f"attention1_1_{name}" for name in names], x=x
    )
    np.testing.assert_allclose(pool1, pooled(first))
    np.testing.assert_allclose(pool2, pooled(down1))
    np.testing.assert_allclose(resized, interpolated(bottom, *skip.shape[1:3]), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(total, skip + resized, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(out, interpolated(up, *first.shape[1:3]), rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------------------------------- wrong settings


@pytest.mark.parametrize(("setting", "says"), [
    (dict(attention="soft"), "attention='soft'; accepted: 'mixed', 'channel', 'spatial'"),
    (dict(learning="deep"), "learning='deep'; accepted: 'residual', 'naive'"),
    (dict(downs=(2, 1)), r"downs=\(2, 1\); give 3 whole numbers"),
    (dict(downs=(2, 1, 0)), r"downs=\(2, 1, 0\); give 3 whole numbers"),
    (dict(m=0), "m=0; a net of 36m [+] 20 layers"),
    (dict(include_top=False, output_stride=2), "a map that is upsampled again cannot be dilated"),
])  # fmt: skip
def test_wrong_settings_are_named(setting, says):
    with pytest.raises(KerasVisionError, match=says):
        build(**setting)


def test_exports_give_the_same_outputs(randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(build())
    for checked in (kv.export.to_litert(model, tmp_path / "a.tflite"), kv.export.to_saved_model(model, tmp_path / "a")):
        assert checked.max_difference <= 1e-4 * checked.output_range

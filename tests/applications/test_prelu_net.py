"""PReLU-nets: published costs, the study's net against a forward in NumPy, the paper's initial weights."""

import keras
import numpy as np
import pytest
from closeness import close
from naive_caffe import Net, max_pool
from naive_weights import fill

import keras_vision as kv
from keras_vision.errors import KerasVisionError

SMALL = dict(weights=None, pyramid=(3, 1), classes=7)
STUDY = "PReLUStudyNet14"
SLOPES = {"prelu": lambda channels: channels, "prelu_shared": lambda channels: 1, "relu": lambda channels: 0}


def build(**settings):
    return kv.create_model(STUDY, **{**SMALL, "input_shape": (67, 79, 3), **settings})


# ----------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(("name", "operations"), [("PReLUNetA", 1.90), ("PReLUNetB", 2.32), ("PReLUNetC", 5.30)])
def test_multiply_adds_are_the_published_ones(name, operations, undrawn):
    model = kv.create_model(name, weights=None, include_top=False, input_shape=(224, 224, 3))
    assert model.card.multiply_adds / 1e10 == pytest.approx(operations, rel=0.01)  # Table 3, of the convolutions


def test_taps_have_the_sizes_of_table_3():
    taps = kv.taps(kv.create_model("PReLUNetA", weights=None, include_top=False, input_shape=(224, 224, 3)))
    assert [taps[name].shape for name in ("conv1", "conv2_1", "conv2_5", "conv3_5", "conv4_5")] == [
        (112, 112, 96), (56, 56, 256), (56, 56, 256), (28, 28, 512), (14, 14, 512),
    ]  # fmt: skip
    assert len([name for name in taps if name.startswith("conv")]) + 3 == 19


def test_taps_of_the_study_have_the_sizes_of_table_1():
    taps = kv.taps(kv.create_model(STUDY, weights=None, include_top=False, input_shape=(224, 224, 3)))
    sizes = [taps[name].shape for name in ("conv1", "pool1", "conv2_4", "pool2", "conv3_6")]
    assert sizes == [(109, 109, 64), (36, 36, 64), (36, 36, 128), (18, 18, 128), (18, 18, 256)]
    assert len([name for name in taps if name.startswith("conv")]) + 3 == 14


@pytest.mark.parametrize("activation", SLOPES)
def test_slopes_are_one_per_channel_or_one_per_layer(activation):
    widths = [64, *[128] * 4, *[256] * 6, 4096, 4096]
    model = build(activation=activation)
    slopes = [w for layer in model.layers if isinstance(layer, keras.layers.PReLU) for w in layer.weights]
    assert sum(int(np.prod(w.shape)) for w in slopes) == sum(map(SLOPES[activation], widths))
    assert all((np.asarray(w) == 0.25).all() for w in slopes)


@pytest.mark.parametrize(("activation", "gain"), [("prelu", 2 / (1 + 0.25**2)), ("relu", 2.0)])
@pytest.mark.parametrize("fan", ["fan_in", "fan_out"])
def test_kernels_start_at_the_papers_deviation(fan, activation, gain):
    keras.utils.set_random_seed(0)
    model = build(activation=activation, fan=fan)
    for name, cells in (("conv1", 49), ("conv2_1", 4), ("conv3_1", 4), ("fc6", 1)):
        layer = next(layer for layer in model.layers if layer.name in (f"{name}_conv", f"{name}_dense"))
        kernel = np.asarray(layer.kernel)
        count = cells * kernel.shape[-2 if fan == "fan_in" else -1]
        assert kernel.std() == pytest.approx(np.sqrt(gain / count), rel=0.03)
        assert abs(kernel).max() > 3 * kernel.std()  # a Gaussian that is not cut off
        assert not np.asarray(layer.bias).any()


# ---------------------------------------------------------------------------------------------- numerics


class SlopedNet(Net):
    """Layers that end in a PReLU; the slopes, by channel or shared, are kept in `slopes`."""

    def __init__(self, shared=False):
        super().__init__()
        self.slopes, self.shared = {}, shared

    def prelu(self, y, name):
        slope = self.rng.uniform(0.1, 0.4, 1 if self.shared else y.shape[1]).astype("float32")
        self.slopes[name] = slope
        slope = slope.reshape(-1, *[1] * (y.ndim - 2)).astype("float64")
        return np.where(y > 0, y, slope * y)

    def bare(self, x, name, filters, size, stride=1, pad=0):
        kernel, bias = self.weights(name, (filters, x.shape[1], size, size))
        x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))[:, :, ::stride, ::stride]
        return np.einsum("nchwij,ocij->nohw", windows, kernel, optimize=True) + bias[:, None, None]


def pyramid(x, levels):
    """Bins of each level, row by row, channels last."""
    rows, columns = x.shape[2:]
    bins = []
    for n in levels:
        for i, j in np.ndindex(n, n):
            cells = x[:, :, i * rows // n : -(-(i + 1) * rows // n), j * columns // n : -(-(j + 1) * columns // n)]
            bins.append(cells.max(axis=(2, 3)))
    return np.concatenate(bins, axis=1)


def naive_study(net, x, levels, classes):
    x = net.prelu(net.bare(x, "conv1", 64, 7, 2), "conv1")
    for stage, count, width, pool in ((2, 4, 128, 3), (3, 6, 256, 2)):
        x = max_pool(x[:, :, : x.shape[2] // pool * pool, : x.shape[3] // pool * pool], pool, pool)
        for position in range(1, count + 1):
            name = f"conv{stage}_{position}"
            x = net.prelu(net.bare(x, name, width, 2, pad=position % 2), name)
    return naive_head(net, x, levels, classes)


def naive_a(net, x, levels, classes):
    """One convolution in each stage."""
    x = net.prelu(net.bare(x, "conv1", 96, 7, 2, pad=3), "conv1")
    for stage, width in ((2, 256), (3, 512), (4, 512)):
        x = max_pool(x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2], 2, 2)
        x = net.prelu(net.bare(x, f"conv{stage}_1", width, 3, pad=1), f"conv{stage}_1")
    return naive_head(net, x, levels, classes)


def naive_head(net, x, levels, classes):
    x = pyramid(x, levels)
    for name in ("fc6", "fc7"):
        x = net.prelu(net.dense(x, name, 4096), name)
    return net.dense(x, "fc8", classes)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("name", "naive", "own"), [
    (STUDY, naive_study, {}), ("PReLUNetA", naive_a, dict(convs=(1, 1, 1))),
])  # fmt: skip
def test_the_nets_equal_naive_forwards(name, naive, own, shared):
    images = np.random.default_rng(2).normal(0, 1, (2, 67, 79, 3)).astype("float32")
    net = SlopedNet(shared)
    expected = naive(net, images.transpose(0, 3, 1, 2).astype("float64"), SMALL["pyramid"], SMALL["classes"])
    own = {**SMALL, **own, "activation": "prelu_shared" if shared else "prelu"}
    model = kv.create_model(name, **own, input_shape=(67, 79, 3), classifier_activation=None)
    fill(model, net.arrays)
    for name, slope in net.slopes.items():
        model.get_layer(name).alpha.assign(slope.reshape(model.get_layer(name).alpha.shape))
    assert close(model(images), expected)


def test_the_classifier_takes_images_of_any_size(randomize):
    open_size = randomize(build(input_shape=(None, None, 3)))
    for height, width in ((67, 79), (90, 61)):
        fixed = build(input_shape=(height, width, 3))
        fixed.set_weights(open_size.get_weights())
        x = np.random.default_rng(0).normal(0, 1, (2, height, width, 3)).astype("float32")
        np.testing.assert_allclose(open_size(x), fixed(x), atol=1e-6)


def test_a_pyramid_is_not_slid_over_an_image():
    with pytest.raises(KerasVisionError, match="a pyramid of bins"):
        kv.applications.fully_convolutional(build())


@pytest.mark.parametrize(("setting", "says"), [
    (dict(activation="elu"), "activation='elu'; accepted: 'prelu', 'prelu_shared', 'relu'"),
    (dict(fan="fan_avg"), "fan='fan_avg'; accepted: 'fan_in', 'fan_out'"),
    (dict(convs=(4,)), r"convs=\(4,\); give 2 whole numbers"),
    (dict(widths=(128, 0)), r"widths=\(128, 0\); give 2 whole numbers"),
    (dict(pyramid=()), r"bins=\(\); give whole numbers of bins"),
])  # fmt: skip
def test_wrong_settings_are_named(setting, says):
    with pytest.raises(KerasVisionError, match=says):
        build(**setting)


def test_exports_give_the_same_outputs(randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(build())
    for checked in (kv.export.to_litert(model, tmp_path / "a.tflite"), kv.export.to_saved_model(model, tmp_path / "a")):
        assert checked.max_difference <= 1e-4 * checked.output_range

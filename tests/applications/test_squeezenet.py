"""SqueezeNet against Table 1 and an independent NumPy forward."""

import numpy as np
import pytest

from keras_vision.applications import SqueezeNet, SqueezeNetComplexBypass, SqueezeNetSimpleBypass, SqueezeNetV1_1
from keras_vision.applications.squeezenet import fire_widths, read_net
from keras_vision.errors import KerasVisionError

TABLE_1 = {2: (16, 64, 64), 3: (16, 64, 64), 4: (32, 128, 128), 5: (32, 128, 128)}
TABLE_1 |= {6: (48, 192, 192), 7: (48, 192, 192), 8: (64, 256, 256), 9: (64, 256, 256)}
MAPS_V1_0 = {"conv1": 111, "pool1": 55, "fire4": 55, "pool4": 27, "fire8": 27, "pool8": 13, "fire9": 13, "conv10": 15}
MAPS_V1_1 = {"conv1": 113, "pool1": 56, "fire3": 56, "pool3": 28, "fire5": 28, "pool5": 14, "fire9": 14, "conv10": 14}

# ---------------------------------------------------------------------------------------- a forward in NumPy


def relu(x):
    return np.maximum(x, 0)


def conv(x, kernel, bias, stride=1, padding=0):
    """`(h, w, c)` and `(k, k, c, filters)`, cross-correlation."""
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    k = kernel.shape[0]
    rows, columns = ((size - k) // stride + 1 for size in x.shape[:2])
    out = np.empty((rows, columns, kernel.shape[-1]))
    for i in range(rows):
        for j in range(columns):
            window = x[i * stride : i * stride + k, j * stride : j * stride + k]
            out[i, j] = np.tensordot(window, kernel, 3)
    return out + bias


def ceil_pool(x):
    """Caffe's 3x3 pooling of stride 2: windows may hang over the bottom and right edge."""
    rows, columns = (-(-(size - 3) // 2) + 1 for size in x.shape[:2])
    cells = [[x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(columns)] for i in range(rows)]
    return np.array(cells)


def naive(weights, x, bypass):
    """Table 1 and Figure 2, layer by layer: logits of one image."""

    def layer(x, name, **geometry):
        return conv(x, weights[f"{name}/kernel"], weights[f"{name}/bias"], **geometry)

    x = ceil_pool(relu(layer(x, "conv1", stride=2)))
    for number in range(2, 10):
        squeezed = relu(layer(x, f"fire{number}_squeeze1x1"))
        left = relu(layer(squeezed, f"fire{number}_expand1x1"))
        right = relu(layer(squeezed, f"fire{number}_expand3x3", padding=1))
        shortcut, x = x, np.concatenate([left, right], axis=-1)
        if bypass and number % 2:
            x = x + shortcut
        elif bypass == "complex":
            x = x + layer(shortcut, f"fire{number}_bypass1x1")
        if number in (4, 8):
            x = ceil_pool(x)
    return relu(layer(x, "conv10", padding=1)).mean((0, 1))


CONSTRUCTORS = {None: SqueezeNet, "simple": SqueezeNetSimpleBypass, "complex": SqueezeNetComplexBypass}


@pytest.mark.parametrize("bypass", CONSTRUCTORS)
@pytest.mark.parametrize("size", [(33, 48), (40, 35), (47, 47)])
def test_forward_equals_naive_numpy(bypass, size, randomize):
    model = CONSTRUCTORS[bypass](
        weights=None, input_shape=(*size, 3), classes=5, classifier_activation=None, base_e=8, incr_e=8, sr=0.5
    )
    randomize(model, seed=sum(size))
    weights = {f"{layer.name}/{v.name}": v.numpy() for layer in model.layers for v in layer.weights}
    x = np.random.default_rng(0).normal(0, 1, (*size, 3)).astype("float32")
    expected = naive(weights, x, bypass)
    actual = np.asarray(model(x[None]))[0]
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.ptp(expected))


# ----------------------------------------------------------------------------------------------- the tables


@pytest.mark.parametrize("constructor", [SqueezeNet, SqueezeNetV1_1])
def test_fire_widths_are_those_of_table_1(constructor):
    model = constructor(weights=None)
    parts = ("squeeze1x1", "expand1x1", "expand3x3")
    widths = {n: tuple(model.get_layer(f"fire{n}_{part}").filters for part in parts) for n in TABLE_1}
    assert widths == TABLE_1


@pytest.mark.parametrize(("constructor", "sizes"), [(SqueezeNet, MAPS_V1_0), (SqueezeNetV1_1, MAPS_V1_1)])
def test_feature_maps_have_the_sizes_of_the_release(constructor, sizes):
    model = constructor(weights=None)
    assert {name: model.get_layer(name).output.shape[1] for name in sizes} == sizes


def test_floor_pooling_of_v1_1_gives_the_smaller_maps():
    model = SqueezeNetV1_1(weights=None, ceil_mode=False)
    assert [model.get_layer(name).output.shape[1] for name in ("pool1", "pool3", "pool5", "conv10")] == [56, 27, 13, 13]


def test_conv10_without_padding_gives_the_13_cells_of_table_1():
    assert SqueezeNet(weights=None, conv10_padding=0).get_layer("conv10").output.shape[1:3] == (13, 13)


@pytest.mark.parametrize("sr", [0.125, 0.25, 0.5, 0.75, 1.0])
def test_squeeze_ratio_scales_only_the_squeeze(sr):
    widths = fire_widths(base_e=128, incr_e=128, pct_3x3=0.5, freq=2, sr=sr)
    assert [s for s, _, _ in widths] == [sr * (e1 + e3) for _, e1, e3 in TABLE_1.values()]
    assert [w[1:] for w in widths] == [w[1:] for w in TABLE_1.values()]


@pytest.mark.parametrize("pct", [0.01, 0.25, 0.5, 0.75, 0.99])
def test_share_of_3x3_filters_keeps_the_sum(pct):
    widths = fire_widths(base_e=128, incr_e=128, pct_3x3=pct, freq=2, sr=0.5)
    sums = [128, 128, 256, 256, 384, 384, 512, 512]
    assert [e1 + e3 for _, e1, e3 in widths] == sums
    assert [e3 for _, _, e3 in widths] == [int(pct * e) for e in sums]


@pytest.mark.parametrize("settings", [dict(sr=0.0), dict(pct_3x3=0.0), dict(pct_3x3=1.0), dict(freq=0)])
def test_settings_without_filters_are_errors(settings):
    with pytest.raises(KerasVisionError, match=next(iter(settings))):
        SqueezeNet(weights=None, **settings)


# ---------------------------------------------------------------------------------------------- real weights


def test_authors_file_decodes_to_the_reference_arrays(shared):
    arrays = read_net(shared / "weights" / "compressed_SqueezeNet.net")
    with np.load(shared / "weights" / "squeezenet_v1.0.npz") as reference:
        assert len(arrays) == len(reference.files) == 52
        for key in reference.files:
            layer, _, kind = key.rpartition("/")
            expected = reference[key].transpose(2, 3, 1, 0) if kind == "w" else reference[key]
            ours = arrays[f"{layer.replace('/', '_')}/{dict(w='kernel', b='bias')[kind]}"]
            np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("bypass", ["simple", "complex"])
def test_real_weights_start_a_bypass_network_only_where_they_fit(bypass, shared):
    file = shared / "weights" / "squeezenet_v1.0.npz"
    if bypass == "simple":
        assert SqueezeNetSimpleBypass(weights=file).card.loaded == file.name
    else:
        with pytest.raises(KerasVisionError, match="8 missing: fire2_bypass1x1/kernel"):
            SqueezeNetComplexBypass(weights=file)

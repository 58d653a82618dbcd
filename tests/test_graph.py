"""Geometry computed from a graph, against gradients; costs and smallest inputs, against the model itself."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_vision as kv
from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.layers import AtrousPooling2D, ceil_max_pool

EXITS = ("BLeNet", "BAlexNet", "BResNet110")  # their side classifiers need larger images than the trunk
MODELS = [name for name in kv.list_models(task="classification") if name not in EXITS]
SMALL = ("InceptionV3_79", "SqueezeNet", "SqueezeNetV1_1", "VGG11", "CaffeNet", "GoogLeNet", "BNInception", "Xception")
SMALL += ("ResNet18", "ResNet20CIFAR", "DenseNet40K12", "SEResNet50", "ShakeShake26_32CIFAR")
SMALL += ("BaseCNNA", "PReLUStudyNet14", "StochasticDepthResNet110")
SMALL += ("ResidualAttention56CIFAR", "SPPNetZF5", "TinyImageNet5")  # others are slow


def averaging(layer):
    """Max pooling as average pooling, through which every cell of the window has a gradient."""
    config = layer.get_config()
    if isinstance(layer, layers.MaxPooling2D):
        return layers.AveragePooling2D.from_config(config)
    if isinstance(layer, AtrousPooling2D):
        config["mode"] = "average"
    return layer.__class__.from_config(config)


def positive(model):
    """The model with average pooling and weights under which no path from a pixel to a cell is lost."""
    model = keras.models.clone_model(model, clone_function=averaging)
    for layer in model.layers:
        for variable in layer.weights:
            if variable.name.endswith("kernel"):
                inputs = variable.shape[-2] * np.sqrt(np.prod(variable.shape[:-2]))
                variable.assign(np.full(variable.shape, 1 / inputs))
            elif variable.name not in ("gamma", "moving_variance"):
                variable.assign(np.zeros(variable.shape))
    return model


def seen(model, image, cell):
    """First and last pixel, along height and width, that a cell of the output sees."""
    with tf.GradientTape() as tape:
        x = tf.constant(image)
        tape.watch(x)
        value = tf.reduce_sum(model(x)[:, cell[0], cell[1]])
    reached = np.abs(tape.gradient(value, x).numpy()).sum(axis=(0, 3)) > 0
    return [tuple(np.flatnonzero(reached.any(axis=other))[[0, -1]]) for other in (1, 0)]


def assert_axes_equal_gradients(model, output, axes, shape, cells):
    """Each cell sees what its `Axis` says; at the border, no more than that."""
    model = positive(keras.Model(model.inputs, output))
    image = np.ones((1, *shape, model.input_shape[-1]), "float32")
    for cell in cells(*model(image).shape[1:3]):
        for axis, i, size, (first, last) in zip(axes, cell, shape, seen(model, image, cell), strict=True):
            expected = axis.first + i * axis.stride, axis.last + i * axis.stride
            inside = expected[0] >= 0 and expected[1] < size
            assert (first, last) == expected if inside else expected[0] <= first <= last <= expected[1], cell


def inception_like(x):
    left = layers.Conv2D(2, (1, 7), padding="same")(x)
    return layers.Concatenate()([left, layers.AveragePooling2D(3, 1, "same")(x), layers.Conv2D(2, 1)(x)])


NETS = {
    "valid convolution": lambda x: layers.Conv2D(2, 5, 2)(x),
    "same convolution": lambda x: layers.Conv2D(2, (3, 5), padding="same")(x),
    "strided same convolution": lambda x: layers.Conv2D(2, 3, 2, padding="same")(x),
    "even same kernel": lambda x: layers.Conv2D(2, (2, 4), padding="same")(x),
    "dilated convolution": lambda x: layers.Conv2D(2, 3, dilation_rate=(2, 3), padding="same")(x),
    "depthwise": lambda x: layers.DepthwiseConv2D(3, 2)(x),
    "separable": lambda x: layers.SeparableConv2D(2, 3, 2, padding="same")(x),
    "pooling": lambda x: layers.MaxPooling2D((2, 3))(x),
    "same pooling": lambda x: layers.MaxPooling2D(3, 2, "same")(x),
    "cropping": lambda x: layers.Conv2D(2, 3, 2)(layers.Cropping2D(((1, 2), (0, 3)))(x)),
    "explicit padding": lambda x: layers.Conv2D(2, 3, 2)(layers.ZeroPadding2D(((2, 1), (0, 2)))(x)),
    "atrous pooling": lambda x: AtrousPooling2D((3, 2), 2, padding="same")(x),
    "overhang": lambda x: ceil_max_pool(x, 3, 2, name="pool", negative=True),
    "branches": inception_like,
    "stack": lambda x: layers.MaxPooling2D(3, 2)(layers.Conv2D(2, 3, 2, "same")(inception_like(x))),
    "two strided": lambda x: layers.MaxPooling2D(2, 2, "same")(layers.Conv2D(2, 3, 2, "same")(x)),
}


@pytest.mark.parametrize("size", [(16, 17), (15, 14)])
@pytest.mark.parametrize("net", NETS)
def test_axes_of_small_nets_equal_gradients_of_every_cell(net, size):
    inputs = keras.Input((*size, 3))
    model = keras.Model(inputs, NETS[net](inputs))
    *_, (layer, axes) = graph.feature_maps(model)
    assert layer.output is model.output
    assert_axes_equal_gradients(model, model.output, axes, size, np.ndindex)


def test_maps_of_different_strides_cannot_be_joined():
    inputs = keras.Input((16, 16, 3))
    halves = layers.Conv2D(2, 3, 2, padding="same")(inputs), layers.Conv2D(2, 9)(inputs)
    model = keras.Model(inputs, layers.Concatenate(name="join")(halves))
    with pytest.raises(KerasVisionError, match=r"layer join joins feature maps of different strides \[1, 2\]"):
        list(graph.feature_maps(model))


@pytest.mark.parametrize("output_stride", [None, 4])
@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("SqueezeNet")])
def test_taps_of_squeezenet_equal_gradients(name, output_stride):
    size = (311, 297)
    model = kv.create_model(name, include_top=False, weights=None, output_stride=output_stride)
    for tap in ("conv1", "fire3", "fire9"):
        assert_tap_equals_gradients(model, tap, size)


def assert_tap_equals_gradients(model, tap, size):
    """Extent and stride of a map as seen from the middle of an image, where that holds the whole extent."""
    output = model.get_layer(tap).output
    found = kv.taps(model)[tap]
    axes = next(axes for layer, axes in graph.feature_maps(model) if layer.name == tap)
    assert found.receptive_field == tuple(axis.receptive_field for axis in axes)
    assert found.stride == tuple(axis.stride for axis in axes)

    def middle(rows, columns):
        return [(rows // 2, columns // 2), (min(rows // 2 + 1, rows - 1), min(columns // 2 + 1, columns - 1))]

    assert_axes_equal_gradients(model, output, axes, size, middle)


@pytest.mark.parametrize("size", [(1400, 80), (80, 1400)], ids=["tall", "wide"])
@pytest.mark.parametrize("tap", ["mixed2", "mixed7", "mixed10"])
def test_taps_of_inception_equal_gradients(tap, size):
    model = kv.create_model("InceptionV3", include_top=False, weights=None)
    assert_tap_equals_gradients(model, tap, size)


# ------------------------------------------------------------------------------------------- multiply-adds


def test_multiply_adds_of_a_small_net_by_hand():
    inputs = keras.Input((11, 9, 3))
    x = layers.Conv2D(4, 3, 2, name="a")(inputs)  # 5 x 4 cells
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D((3, 1), padding="same", depth_multiplier=2)(x)
    x = layers.SeparableConv2D(6, 3, padding="same")(x)
    x = layers.Conv2D(6, 1, groups=3)(x)
    x = layers.Conv2DTranspose(2, 2, 2)(x)
    x = layers.Dense(5)(layers.Flatten()(x))
    by_hand = 20 * (27 * 4 + 3 * 8 + (9 * 8 + 8 * 6) + 6 * 2 + 6 * 4 * 2) + 10 * 8 * 2 * 5
    assert graph.multiply_adds(keras.Model(inputs, x)) == by_hand


def test_multiply_adds_are_the_published_ones():
    dense = 25_088 * 4096 + 4096 * 4096 + 4096 * 1000
    vgg19 = keras.applications.VGG19(weights=None, include_top=False, input_shape=(224, 224, 3))
    assert round((graph.multiply_adds(vgg19) + dense) / 1e9, 1) == 19.6  # He et al., 2015, Figure 3
    assert round(kv.model_card("InceptionV3").multiply_adds / 1e9, 1) == 5.7
    assert round(2 * kv.model_card("SqueezeNet").multiply_adds / 1e9, 2) == 1.72  # GFLOPS per image, by the authors


def test_multiply_adds_of_squeezenet_v1_1_by_hand():
    def fire(cells, channels, squeeze, expand):
        return cells * (channels * squeeze + squeeze * expand + 9 * squeeze * expand)

    by_hand = 113**2 * 27 * 64 + fire(56**2, 64, 16, 64) + fire(56**2, 128, 16, 64)
    by_hand += fire(28**2, 128, 32, 128) + fire(28**2, 256, 32, 128) + fire(14**2, 256, 48, 192)
    by_hand += fire(14**2, 384, 48, 192) + fire(14**2, 384, 64, 256) + fire(14**2, 512, 64, 256) + 14**2 * 512 * 1000
    assert kv.model_card("SqueezeNetV1_1").multiply_adds == by_hand


def test_rows_of_inception_cost_nearly_the_same():
    costs = [kv.model_card(name).multiply_adds for name in ("InceptionV3", "InceptionV3_151", "InceptionV3_79")]
    assert costs[0] == costs[1]
    assert 0.93 < costs[2] / costs[0] < 1


def test_multiply_adds_of_an_open_size_are_unknown():
    assert kv.create_model("SqueezeNet", include_top=False, weights=None).card.multiply_adds is None


# ------------------------------------------------------------------------------------------- smallest input


@functools.cache
def minimum(name, **settings):
    return graph.minimum_size(kv.create_model(name, include_top=False, weights=None, **settings))


def test_smallest_inputs():
    sizes = {"InceptionV3": 75, "InceptionV3_151": 39, "InceptionV3_79": 21, "SqueezeNet": 21, "SqueezeNetV1_1": 17}
    assert {name: minimum(name) for name in sizes} == {name: (size, size) for name, size in sizes.items()}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n not in SMALL else n for n in MODELS])
def test_smallest_input_works_and_one_pixel_less_is_an_error(name):
    height, width = minimum(name)
    model = kv.create_model(name, input_shape=(height, width, 3), weights=None)
    assert np.isfinite(np.asarray(model(np.ones((1, height, width, 3), "float32")))).all()
    kv.create_model(name, input_shape=(height, width, 3), weights=None, include_top=False)
    small = f"too small for {name}: at least {height} x {width} pixels" if height > 1 else "positive numbers of pixels"
    for top, shape in ((True, (height - 1, width, 3)), (False, (height, width - 1, 3))):
        with pytest.raises(KerasVisionError, match=small):
            kv.create_model(name, input_shape=shape, weights=None, include_top=top)


def test_auxiliary_head_needs_a_larger_input():
    with pytest.raises(KerasVisionError, match=r"too small for InceptionV3_79: at least [0-9]+ x [0-9]+ pixels"):
        kv.create_model("InceptionV3_79", weights=None, input_shape=(21, 21, 3), auxiliary="batch_norm")


# ---------------------------------------------------------------------------------------------- output stride


@pytest.mark.parametrize("size", [(139, 147), (160, 138)])
@pytest.mark.parametrize(("name", "output_stride", "factor"), [
    *[(name, stride, 16 // stride) for name in MODELS if name.startswith("Squeeze") for stride in (4, 8)],
    ("InceptionV3", 8, 4), ("InceptionV3", 16, 2),
])  # fmt: skip
def test_cells_of_the_dilated_model_equal_the_original(name, output_stride, factor, size, randomize):
    original = randomize(kv.create_model(name, include_top=False, weights=None))
    dilated = kv.create_model(name, include_top=False, weights=None, output_stride=output_stride)
    assert [w.path for w in dilated.weights] == [w.path for w in original.weights]
    dilated.set_weights(original.get_weights())
    x = np.random.default_rng(0).normal(0, 1, (1, *size, 3)).astype("float32")
    expected, actual = np.asarray(original(x)), np.asarray(dilated(x))
    assert actual.shape[1] > factor * (expected.shape[1] - 1)
    np.testing.assert_allclose(actual[:, ::factor, ::factor], expected, atol=1e-5 * np.ptp(expected))


def test_dilated_model_stops_shrinking_where_asked():
    strides = {tap.stride for tap in kv.taps(kv.applications.SqueezeNet(weights=None, output_stride=8)).values()}
    assert max(strides) == (8, 8)


def test_strided_layers_with_same_padding_are_refused():
    """Their padding depends on the size, so that a stride of 1 would move the cells by one."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, 2, "same")(inputs)
    with pytest.raises(KerasVisionError, match="padding 'same' cannot be dilated"):
        graph.dilate(keras.Model(inputs, x), 1)


@pytest.mark.parametrize("output_stride", [3, 0, 64])
def test_impossible_output_stride_is_an_error(output_stride):
    with pytest.raises(KerasVisionError, match=rf"output_stride={output_stride}; .* strides \[1, 2, 4, 8, 16\]"):
        kv.applications.SqueezeNet(weights=None, output_stride=output_stride)

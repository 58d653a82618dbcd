"""Gradients by the image against a derivation by hand, heat maps against finite differences and loops."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import keras_vision as kv
from keras_vision.errors import KerasVisionError
from keras_vision.visualization import (
    deconvnet,
    grad_cam,
    gradient_picture,
    guided_backpropagation,
    heat_picture,
    occlusion,
    saliency,
)

rng = np.random.default_rng(0)
X = rng.normal(0, 1, (3, 4, 5, 2)).astype("float32")
RULES = {
    saliency: lambda f, g: g * (f > 0),
    deconvnet: lambda f, g: g * (g > 0),
    guided_backpropagation: lambda f, g: g * (f > 0) * (g > 0),
}
W1, W2, W3 = (rng.normal(0, 1, shape).astype("float32") for shape in ((40, 12), (12, 9), (9, 4)))
B1, B2 = (rng.normal(0, 0.5, n).astype("float32") for n in (12, 9))


def three_layers(last="softmax"):
    """Two dense layers with ReLU, one as an activation and one as a layer, and a classifier."""
    image = keras.Input((4, 5, 2))
    x = layers.Dense(12, activation="relu", name="one")(layers.Flatten()(image))
    x = layers.ReLU(name="relu")(layers.Dense(9, name="two")(x))
    model = keras.Model(image, layers.Dense(4, activation=last, use_bias=False, name="three")(x))
    for name, weights in (("one", [W1, B1]), ("two", [W2, B2]), ("three", [W3])):
        model.get_layer(name).set_weights(weights)
    return model


@pytest.mark.parametrize("last", ["softmax", "sigmoid", None])
@pytest.mark.parametrize("method", RULES)
def test_three_layers_equal_the_gradient_derived_by_hand(method, last):
    rule = RULES[method]
    for classes in (2, [0, 3, 3]):
        expected = []
        for x, label in zip(X.reshape(3, 40), np.broadcast_to(classes, 3), strict=True):
            f1 = x @ W1 + B1
            f2 = np.maximum(f1, 0) @ W2 + B2
            g2 = rule(f2, W3[:, label])  # the score is max(f2, 0) @ W3[:, label]
            expected.append(rule(f1, W2 @ g2) @ W1.T)
        found = method(three_layers(last), X, classes)
        np.testing.assert_allclose(found, np.reshape(expected, X.shape), atol=1e-5)
        assert np.abs(found).max() > 0.1


def test_the_best_class_is_the_default():
    model = three_layers()
    best = np.asarray(model(X)).argmax(axis=1)
    np.testing.assert_array_equal(saliency(model, X), saliency(model, X, best))


def test_saliency_of_a_smooth_network_equals_finite_differences(randomize):
    x = image = keras.Input((6, 6, 2))
    for filters, stride in ((4, 1), (3, 2)):
        x = layers.Conv2D(filters, 3, stride, activation="tanh")(x)
    features = layers.Flatten()(x)
    model = randomize(keras.Model(image, layers.Dense(3, activation="softmax", name="fc")(features)))
    kernel = np.asarray(model.get_layer("fc").kernel)[:, 2]
    inner, x = keras.Model(image, features), rng.normal(0, 1, (1, 6, 6, 2)).astype("float32")
    found = saliency(model, x, 2)
    for cell in [(0, 1, 2, 0), (0, 5, 5, 1), (0, 0, 3, 1)]:
        step = np.zeros_like(x)
        step[cell] = 1e-2
        ahead, behind = (np.asarray(inner(x + sign * step))[0] @ kernel for sign in (1, -1))
        assert found[cell] == pytest.approx((ahead - behind) / 2e-2, abs=2e-3 * float(np.abs(found).max()))


def test_nested_models_have_the_rule_too(randomize):
    inner_image = keras.Input((4, 5, 2))
    inner = keras.Model(inner_image, layers.Conv2D(3, 3, activation="relu", name="inside")(inner_image))
    image = keras.Input((4, 5, 2))
    model = randomize(keras.Model(image, layers.GlobalAveragePooling2D()(inner(image))))
    plain, guided = saliency(model, X, 1), guided_backpropagation(model, X, 1)
    np.testing.assert_allclose(guided, plain, atol=1e-6)  # one ReLU, and all gradients above it are 1/6
    flipped = keras.Model(image, layers.Rescaling(-1.0)(model.output))
    assert np.any(saliency(flipped, X, 1))
    assert not np.any(guided_backpropagation(flipped, X, 1))


def test_a_channel_of_a_layer(randomize):
    image = keras.Input((4, 5, 2))
    maps = layers.Conv2D(3, (2, 2), name="maps")(image)
    model = randomize(keras.Model(image, layers.Dense(2)(layers.Flatten()(maps))))
    kernel = np.asarray(model.get_layer("maps").kernel)
    values = np.asarray(keras.Model(image, maps)(X))
    found = saliency(model, X, 1, layer="maps")
    for own, row in zip(found, values[..., 1], strict=True):
        i, j = np.unravel_index(row.argmax(), row.shape)
        expected = np.zeros((4, 5, 2), np.float32)
        expected[i : i + 2, j : j + 2] = kernel[..., 1]
        np.testing.assert_allclose(own, expected, atol=1e-6)


# ------------------------------------------------------------------------------------------------ heat maps


@pytest.fixture(scope="module")
def convolutional(randomize):
    image = keras.Input((12, 14, 3))
    x = layers.Conv2D(5, 3, 2, activation="relu", name="maps")(image)
    x = layers.Flatten()(layers.AveragePooling2D(2, 1, name="pool")(x))
    return randomize(keras.Model(image, layers.Dense(4, activation="softmax", name="fc")(x)))


PHOTOGRAPHS = rng.normal(0, 1, (2, 12, 14, 3)).astype("float32")


def test_grad_cam_weighs_maps_by_their_mean_slope(convolutional):
    """The slopes of the logit by each cell of the maps, from differences; pooling and sum, in loops."""
    maps = np.asarray(keras.Model(convolutional.input, convolutional.get_layer("maps").output)(PHOTOGRAPHS))
    kernel, bias = (np.asarray(w, "float64") for w in convolutional.get_layer("fc").get_weights())

    def logit(a, label):
        rows = [[a[i : i + 2, j : j + 2].mean((0, 1)) for j in range(a.shape[1] - 1)] for i in range(a.shape[0] - 1)]
        return np.ravel(rows) @ kernel[:, label] + bias[label]

    found = grad_cam(convolutional, PHOTOGRAPHS, [1, 2], "maps")
    for a, label, heat in zip(maps.astype("float64"), (1, 2), found, strict=True):
        slopes = np.zeros_like(a)
        for cell in np.ndindex(*a.shape):
            step = np.zeros_like(a)
            step[cell] = 1.0
            slopes[cell] = logit(a + step, label) - logit(a, label)  # it is linear in the maps
        weighted = np.maximum((slopes.mean((0, 1)) * a).sum(2), 0).astype("float32")
        assert 0 < np.mean(weighted > 0) < 1
        resized = keras.ops.image.resize(weighted[None, ..., None], (12, 14), interpolation="bilinear")
        np.testing.assert_allclose(heat, np.asarray(resized)[0, ..., 0], atol=1e-5 * np.ptp(weighted))


def test_grad_cam_takes_the_last_maps_by_default(convolutional):
    np.testing.assert_array_equal(
        grad_cam(convolutional, PHOTOGRAPHS, 1), grad_cam(convolutional, PHOTOGRAPHS, 1, "pool")
    )


def test_occlusion_is_the_output_for_each_place_of_the_square(convolutional):
    found = occlusion(convolutional, PHOTOGRAPHS, [3, 0], window=5, stride=3, fill=0.5)
    assert found.shape == (2, 3, 4)
    for image, label, rows in zip(PHOTOGRAPHS, (3, 0), found, strict=True):
        for i, j in np.ndindex(3, 4):
            hidden = image.copy()
            hidden[3 * i : 3 * i + 5, 3 * j : 3 * j + 5] = 0.5
            expected = np.asarray(convolutional(hidden[None]))[0, label]
            assert rows[i, j] == pytest.approx(expected, abs=1e-6)


# ------------------------------------------------------------------------------------------------- pictures


def test_pictures_of_gradients_are_grey_where_they_are_zero():
    gradient = np.zeros((3, 4, 3))
    gradient[0, 0], gradient[2, 3] = 5, -5
    pixels = np.asarray(gradient_picture(gradient))
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[2, 3].tolist() == [0] * 3
    assert set(pixels[1].ravel()) == {128}
    assert np.asarray(gradient_picture(gradient[..., :1])).shape == (3, 4, 3)
    assert set(np.asarray(gradient_picture(np.zeros((2, 2, 3)))).ravel()) == {128}


def test_pictures_of_heat_go_from_blue_to_red_over_the_image():
    heat = np.array([[0.0, 0.0], [0.0, 7.0]])
    image = Image.new("RGB", (40, 60), (90, 90, 90))
    pixels = np.asarray(heat_picture(image, heat, alpha=1.0)).astype(int)
    assert pixels.shape == (60, 40, 3)
    assert pixels[0, 0, 2] > pixels[0, 0, 0]
    assert pixels[-1, -1, 0] > pixels[-1, -1, 2]
    np.testing.assert_array_equal(np.asarray(heat_picture(image, heat, alpha=0.0)), np.asarray(image))


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("method", [*RULES, grad_cam, partial(occlusion, window=4)])
@pytest.mark.parametrize(("images", "classes", "message"), [
    (PHOTOGRAPHS[0], 0, "images of shape"),
    (PHOTOGRAPHS[:, :5], 0, "images of shape"),
    (PHOTOGRAPHS[:0], 0, "at least one"),
    (PHOTOGRAPHS * np.nan, 0, "not finite"),
    (PHOTOGRAPHS, 4, "those from 0 to 3"),
    (PHOTOGRAPHS, -1, "those from 0 to 3"),
    (PHOTOGRAPHS, [0, 1, 2], "one for each of 2 images"),
    (PHOTOGRAPHS, 0.5, "one whole number"),
])  # fmt: skip
def test_images_and_classes_that_do_not_fit_are_errors(method, images, classes, message, convolutional):
    with pytest.raises(KerasVisionError, match=message):
        method(convolutional, images, classes)


def test_what_a_model_does_not_have_is_an_error(convolutional):
    with pytest.raises(KerasVisionError, match=r"no layer 'map'\. Near: maps"):
        saliency(convolutional, PHOTOGRAPHS, layer="map")
    with pytest.raises(KerasVisionError, match=r"gives .* no maps"):
        grad_cam(convolutional, PHOTOGRAPHS, layer="fc")
    image = keras.Input((12, 14, 3))
    one, other = layers.Conv2D(2, 1, name="left")(image), layers.Conv2D(2, 1)(image)
    forked = keras.Model(image, layers.GlobalAveragePooling2D()(layers.add([one, other])))
    with pytest.raises(KerasVisionError, match="not computed from the maps of 'left' alone"):
        grad_cam(forked, PHOTOGRAPHS, 0, "left")
    with pytest.raises(KerasVisionError, match="has no ReLU"):
        guided_backpropagation(forked, PHOTOGRAPHS, 0)


@pytest.mark.parametrize("settings", [dict(window=0), dict(window=13), dict(stride=0), dict(fill=np.inf)])
def test_squares_that_do_not_fit_are_errors(settings, convolutional):
    with pytest.raises(KerasVisionError, match="give a square of 1 to 12 pixels"):
        occlusion(convolutional, PHOTOGRAPHS, **{"window": 4, **settings})


def test_pictures_of_something_else_are_errors():
    with pytest.raises(KerasVisionError, match="a gradient of shape"):
        gradient_picture(np.zeros((3, 4, 2)))
    with pytest.raises(KerasVisionError, match="a heat map of shape"):
        heat_picture(Image.new("RGB", (4, 4)), np.full((2, 2), np.nan))
    with pytest.raises(KerasVisionError, match="alpha=2"):
        heat_picture(Image.new("RGB", (4, 4)), np.zeros((2, 2)), alpha=2)


# ----------------------------------------------------------------------------------------------- photographs


def test_the_real_squeezenet_looks_at_the_animal_in_real_photographs(shared):
    """Each photograph's brightest third of the heat map, and the squares that cost most, hold the class's evidence."""
    model = kv.create_model("SqueezeNet", weights=shared / "weights/squeezenet_v1.0.npz")
    words = [line.split()[0] for line in (shared / "data/imagenet_labels/synset_words.txt").read_text().splitlines()]
    names = ["n01440764_tench", "n01514859_hen", "n01530575_brambling"]
    files = [shared / f"data/imagenet_sample/{name}.JPEG" for name in names]
    images = np.stack([model.preprocessing(kv.runtime.open_image(file)) for file in files])
    labels = np.array([words.index(name.split("_")[0]) for name in names])
    before = np.asarray(model(images))[np.arange(3), labels]
    heat = grad_cam(model, images, labels)
    assert heat.shape == images.shape[:3]
    keep = heat >= np.quantile(heat, 2 / 3, axis=(1, 2), keepdims=True)
    without, alone = (np.asarray(model(images * part[..., None]))[np.arange(3), labels] for part in (~keep, keep))
    assert (without < 0.5 * before).sum() >= 2  # the third where the evidence is, hidden
    assert np.mean(alone) > np.mean(without)
    guided, plain = guided_backpropagation(model, images, labels), saliency(model, images, labels)
    inside = [np.abs(g)[keep].mean() / np.abs(g)[~keep].mean() for g in (guided, plain)]
    assert inside[0] > inside[1] > 1  # both gradients lie where Grad-CAM does, the guided one more so

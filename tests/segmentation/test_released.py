"""Files in the layout of the releases, at a few filters in fc6: naive forwards under their layers' names."""

import numpy as np
import pytest
from naive_segmentation import (
    Weights,
    average_pool,
    convolution,
    crop,
    deconvolution,
    max_pool,
    vgg16,
    write_caffemodel,
)
from safetensors.numpy import save_file

from keras_vision.segmentation import DeepLabLargeFOV, FCN8s, FCN8sAtOnce, FCN16s, FCN32s, FCNCaffeNet

CLASSES, FC = 5, 8
BUILD = {"32s": FCN32s, "16s": FCN16s, "8s": FCN8s, "at once": FCN8sAtOnce}


def pixels(height, width, n=1):
    return np.random.default_rng(1).normal(0, 1, (n, height, width, 3)).astype("float32")


@pytest.fixture(scope="module")
def vgg():
    """Image, weights up to score_fr, and the maps pool3, pool4 and score_fr."""
    weights, image = Weights(), pixels(21, 38)
    x = image.transpose(0, 3, 1, 2).astype("float64")
    pools = vgg16(weights, x, [(2, 2)] * 5, pad=100)
    x = convolution(weights, pools[4], "fc6", FC, 7)
    x = convolution(weights, x, "fc7", FC, 1)
    return image, weights, pools[2], pools[3], convolution(weights, x, "score_fr", CLASSES, 1, relu=False)


def released(kind, weights, image, pool3, pool4, x):
    """The authors' definitions from score_fr on."""
    scales = (0.01, 0.0001) if kind == "at once" else (1, 1)
    if kind == "32s":
        return crop(deconvolution(weights, x, "upscore", 64, 32), image, 19)
    x = deconvolution(weights, x, "upscore2", 4, 2)
    x = x + crop(convolution(weights, scales[0] * pool4, "score_pool4", CLASSES, 1, relu=False), x, 5)
    if kind == "16s":
        return crop(deconvolution(weights, x, "upscore16", 32, 16), image, 27)
    x = deconvolution(weights, x, "upscore_pool4", 4, 2)
    x = x + crop(convolution(weights, scales[1] * pool3, "score_pool3", CLASSES, 1, relu=False), x, 9)
    return crop(deconvolution(weights, x, "upscore8", 16, 8), image, 31)


def assert_close(actual, expected):
    expected = expected.transpose(0, 2, 3, 1)
    assert actual.shape == expected.shape
    assert np.abs(np.asarray(actual) - expected).max() <= 1e-5 * np.ptp(expected)


@pytest.mark.parametrize(("kind", "layout"), [
    ("32s", "torch"), ("16s", "caffe"), ("8s", "torch"), ("8s", "caffe"), ("at once", "caffe"),
])  # fmt: skip
def test_fcn(kind, layout, vgg, tmp_path):
    image, weights, *maps = vgg
    weights = Weights(seed=2, known=weights)
    expected = released(kind, weights, image.transpose(0, 3, 1, 2), *maps)
    if kind == "at once":
        weights |= {(f"scale_pool{n}", 0): np.float32([s]) for n, s in ((3, 0.0001), (4, 0.01))}
    model = BUILD[kind](weights=write(tmp_path, weights, layout), fc=FC)
    assert_close(model(image), expected)
    assert model.card.loaded.startswith("fcn")
    np.testing.assert_allclose(model.preprocessing.mean, (104.00698793, 116.66876762, 122.67891434))


def write(folder, arrays, layout):
    if layout == "caffe":
        return write_caffemodel(folder / "fcn.caffemodel", arrays)
    named = {f"{name}.{('weight', 'bias')[i]}": array for (name, i), array in arrays.items()}
    save_file(named, folder / "fcn.safetensors")
    return folder / "fcn.safetensors"


def test_deeplab_large_fov(tmp_path):
    weights, image = Weights(), pixels(33, 41)
    x = image.transpose(0, 3, 1, 2).astype("float64")
    x = vgg16(weights, x, [(3, 2, 1)] * 3 + [(3, 1, 1)] * 2, holes=2)[-1]
    x = convolution(weights, average_pool(x), "fc6", FC, 3, 12, 12)
    x = convolution(weights, x, "fc7", FC, 1)
    expected = convolution(weights, x, "fc8_voc12", CLASSES, 1, relu=False)
    file = write_caffemodel(tmp_path / "train_iter_6000.caffemodel", weights)
    model = DeepLabLargeFOV(weights=file, fc6=(3, FC, 12), upsample=False)
    assert_close(model(image), expected)
    np.testing.assert_allclose(model.preprocessing.mean, (104.008, 116.669, 122.675))


def test_fcn_caffenet(tmp_path):
    weights, image = Weights(), pixels(40, 31)
    x = np.pad(image.transpose(0, 3, 1, 2).astype("float64"), [(0, 0), (0, 0), (100, 100), (100, 100)])
    x = convolution(weights, x, "conv1", 96, 11, stride=4)
    x = convolution_in_groups(weights, norm(max_pool(x, 3, 2)), "conv2", 256, 5, 2)
    x = convolution(weights, norm(max_pool(x, 3, 2)), "conv3", 384, 3, 1)
    x = convolution_in_groups(weights, x, "conv4", 384, 3, 1)
    x = convolution_in_groups(weights, x, "conv5", 256, 3, 1)
    x = convolution(weights, convolution(weights, max_pool(x, 3, 2), "fc6", FC, 6), "fc7", FC, 1)
    x = convolution(weights, x, "score_fr", CLASSES, 1, relu=False)
    expected = crop(deconvolution(weights, x, "upscore", 63, 32), image.transpose(0, 3, 1, 2), 18)
    model = FCNCaffeNet(weights=write_caffemodel(tmp_path / "fcn-alexnet.caffemodel", weights), fc=FC)
    assert_close(model(image), expected)


def convolution_in_groups(weights, x, name, filters, size, pad):
    """Two convolutions, each of half the channels."""
    whole = weights.kernel(name, filters, x.shape[1] // 2, size, size), weights.bias(name, filters)
    halves = []
    for i, part in enumerate(np.split(x, 2, axis=1)):
        own = Weights()
        own[name, 0], own[name, 1] = (np.split(array, 2)[i].astype("float32") for array in whole)
        halves.append(convolution(own, part, name, filters // 2, size, pad))
    return np.concatenate(halves, axis=1)


def norm(x):
    """Response normalisation over five channels with Caffe's constants."""
    energy = np.pad(x**2, [(0, 0), (2, 2), (0, 0), (0, 0)])
    return x / (1 + 2e-5 * sum(energy[:, i : i + x.shape[1]] for i in range(5))) ** 0.75

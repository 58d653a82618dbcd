"""GoogLeNet against a forward in NumPy after Caffe's release, and its side classifiers."""

import keras
import numpy as np
import pytest
from closeness import close
from naive_caffe import Net, average_pool, lrn, max_pool
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import GoogLeNet, GoogLeNetBN
from keras_vision.errors import KerasVisionError, KerasVisionWarning

SIZE, CLASSES = 128, 7
TABLE_1 = {  # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip


def inception(net, x, number):
    widths, name = TABLE_1[number], f"inception_{number}"
    parts = [
        net.conv(x, f"{name}/1x1", widths[0], 1),
        net.conv(net.conv(x, f"{name}/3x3_reduce", widths[1], 1), f"{name}/3x3", widths[2], 3, pad=1),
        net.conv(net.conv(x, f"{name}/5x5_reduce", widths[3], 1), f"{name}/5x5", widths[4], 5, pad=2),
        net.conv(max_pool(x, 3, 1, pad=1), f"{name}/pool_proj", widths[5], 1),
    ]
    return np.concatenate(parts, axis=1)


def side_classifier(net, x, loss):
    x = net.conv(average_pool(x, 5, 3), f"{loss}/conv", 128, 1)
    return net.dense(np.maximum(net.dense(x, f"{loss}/fc", 1024), 0), f"{loss}/classifier", CLASSES)


def forward(net, x):
    """Logits of the three classifiers, with the layers of bvlc_googlenet."""
    x = lrn(max_pool(net.conv(x, "conv1/7x7_s2", 64, 7, stride=2, pad=3), 3, 2))
    x = net.conv(net.conv(x, "conv2/3x3_reduce", 64, 1), "conv2/3x3", 192, 3, pad=1)
    x = max_pool(lrn(x), 3, 2)
    x = max_pool(inception(net, inception(net, x, "3a"), "3b"), 3, 2)
    x = inception(net, x, "4a")
    loss1 = side_classifier(net, x, "loss1")
    x = inception(net, inception(net, inception(net, x, "4b"), "4c"), "4d")
    loss2 = side_classifier(net, x, "loss2")
    x = max_pool(inception(net, x, "4e"), 3, 2)
    x = inception(net, inception(net, x, "5a"), "5b")
    return net.dense(x.mean(axis=(2, 3)), "loss3/classifier", CLASSES), loss1, loss2


@pytest.fixture(scope="module")
def images():
    """With values of photographs, so that response normalisation counts."""
    return np.random.default_rng(3).normal(0, 60, (2, SIZE, SIZE, 3)).astype("float32")


@pytest.fixture(scope="module")
def released(images, tmp_path_factory):
    """A file with the names of bvlc_googlenet, and the logits of the naive forward."""
    net, path = Net(), tmp_path_factory.mktemp("googlenet") / "released.safetensors"
    logits = forward(net, images.transpose(0, 3, 1, 2).astype("float64"))
    save_file(net.arrays, path)
    return path, logits


def test_equals_the_naive_forward_with_both_side_classifiers(released, images):
    path, logits = released
    shape = (SIZE, SIZE, 3)
    model = GoogLeNet(weights=path, classifier_activation=None, auxiliary="strided", input_shape=shape)
    assert [close(*pair) for pair in zip(model(images), logits, strict=True)] == [True] * 3


def test_side_classifiers_of_a_file_are_dropped_without_a_warning(released, images):
    path, logits = released
    model = GoogLeNet(weights=path, classifier_activation=None, input_shape=(SIZE, SIZE, 3))
    assert close(model(images), logits[0])


def test_another_number_of_classes_gives_new_classifiers_only(released):
    path, _ = released
    names = "random values in aux1_predictions, aux2_predictions, predictions"
    with pytest.warns(KerasVisionWarning, match=names):
        model = GoogLeNet(weights=path, classes=3, auxiliary="strided", input_shape=(SIZE, SIZE, 3))
    assert model.output_shape == [(None, 3)] * 3


def test_response_normalisation_counts(released, images):
    path, logits = released
    model = GoogLeNet(weights=path, classifier_activation=None, lrn=None, input_shape=(SIZE, SIZE, 3))
    assert np.abs(np.asarray(model(images)) - logits[0]).max() > 0.05 * np.ptp(logits[0])


def test_maps_have_the_sizes_of_table_1():
    taps = kv.taps(GoogLeNet(weights=None))
    sizes = {
        "conv1": (112, 112, 64), "pool1": (56, 56, 64), "conv2": (56, 56, 192), "pool2": (28, 28, 192),
        "inception_3a": (28, 28, 256), "inception_3b": (28, 28, 480), "pool3": (14, 14, 480),
        "inception_4a": (14, 14, 512), "inception_4d": (14, 14, 528), "inception_4e": (14, 14, 832),
        "pool4": (7, 7, 832), "inception_5b": (7, 7, 1024),
    }  # fmt: skip
    assert {name: taps[name].shape for name in sizes} == sizes


def test_multiply_adds_are_the_papers_1500_million():
    assert 1.4e9 < kv.model_card("GoogLeNet").multiply_adds < 1.6e9


def test_losses_of_the_side_classifiers_are_weighed(randomize):
    model = randomize(GoogLeNetBN(weights=None, classes=5, auxiliary="adaptive", input_shape=(64, 64, 3)))
    model.compile("sgd", ["sparse_categorical_crossentropy"] * 3, loss_weights=[1, 0.3, 0.3], jit_compile=False)
    x, y = np.random.default_rng(0).normal(0, 1, (2, 64, 64, 3)), np.array([1, 4])
    total, *each = model.evaluate(x, [y] * 3, verbose=0)
    np.testing.assert_allclose(total, each[0] + 0.3 * each[1] + 0.3 * each[2], rtol=1e-5)


def test_side_classifiers_are_no_taps_of_a_wrong_stride():
    taps = kv.taps(GoogLeNetBN(weights=None, auxiliary="adaptive"))
    assert not [name for name in taps if name.startswith("aux")]


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(auxiliary="both"), "auxiliary='both'; accepted: None, 'strided', 'adaptive'"),
    (dict(auxiliary="strided", include_top=False), "needs include_top=True"),
    (dict(auxiliary="strided", input_shape=(64, 64, 3)), "map of 4 x 4"),
    (dict(lrn="google"), "lrn='google'; accepted: None, 'paper', 'caffe'"),
    (dict(input_shape=(30, 224, 3)), "too small for GoogLeNet: at least 31 x 31"),
])  # fmt: skip
def test_bad_input_is_one_clear_error(arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        GoogLeNet(weights=None, **arguments)


@pytest.mark.parametrize("name", ["GoogLeNet", "GoogLeNetBN"])
def test_litert_gives_the_same_outputs(name, randomize, tmp_path):
    model = randomize(kv.create_model(name, weights=None, classes=5, input_shape=(64, 64, 3)))
    checked = kv.export.to_litert(model, tmp_path / "model.tflite")
    assert checked.max_difference <= 1e-4 * checked.output_range


def test_atrous_convolution_keeps_the_cells_of_the_last_map(randomize):
    settings = dict(weights=None, include_top=False, input_shape=(129, 129, 3))
    whole, dense = randomize(GoogLeNet(**settings)), GoogLeNet(output_stride=16, **settings)
    dense.set_weights(whole.get_weights())
    assert isinstance(whole, keras.Model)
    assert kv.taps(dense)["inception_5b"].stride == (16, 16)

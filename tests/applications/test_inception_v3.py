"""Inception-v3 against Keras Applications in the same process, through both layouts of its weight files."""

import h5py
import keras
import numpy as np
import pytest
from closeness import close

import keras_vision as kv
from keras_vision.applications import InceptionV3
from keras_vision.errors import KerasVisionWarning, WeightsError

SHAPE = (139, 139, 3)


def write_classic(model, path):
    """The layout of the public files: one group per layer at the root, layers counted from 1, names with ":0"."""
    counts = {}
    with h5py.File(path, "w") as file:
        names = []
        for layer in sorted(model.layers, key=lambda layer: layer.name, reverse=True):
            names.append(layer.name)
            group = file.create_group(names[-1])
            weights = [f"{layer.name}/{v.name}:0" for v in layer.weights]
            group.attrs["weight_names"] = np.array(weights, "S")
            for name, variable in zip(weights, layer.weights, strict=True):
                group[name] = variable.numpy()
            counts[type(layer)] = counts.get(type(layer), 0) + 1
        file.attrs["layer_names"] = np.array(names, "S")
    assert counts[keras.layers.Conv2D] == 94


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).uniform(-1, 1, (2, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def peer(randomize):
    """Keras' own network, with batch-norm statistics that matter."""
    return randomize(keras.applications.InceptionV3(weights=None, input_shape=SHAPE), seed=5)


@pytest.fixture(scope="module", params=["whole_model", "classic"])
def file(request, peer, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / f"{request.param}.h5"
    peer.save(path) if request.param == "whole_model" else write_classic(peer, path)
    return path


@pytest.fixture(scope="module")
def classic(peer, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "classic.h5"
    write_classic(peer, path)
    return path


@pytest.fixture(scope="module")
def no_top(peer, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "notop.h5"
    write_classic(keras.Model(peer.input, peer.get_layer("mixed10").output), path)
    return path


def test_equals_keras_applications_with_top(file, peer, images):
    model = InceptionV3(weights=file, input_shape=SHAPE)
    assert model.card.loaded == file.name
    assert close(model(images), peer(images))


def test_equals_keras_applications_without_top(file, peer, images):
    model = InceptionV3(weights=file, include_top=False)
    assert close(model(images), keras.Model(peer.input, peer.get_layer("mixed10").output)(images))


def test_taps_equal_the_mixed_layers_of_keras_applications(classic, peer, images):
    names = [f"mixed{i}" for i in range(11)]
    maps = InceptionV3(weights=classic, features_only=True, taps=names)(images)
    expected = keras.Model(peer.input, {n: peer.get_layer(n).output for n in names})(images)
    assert [n for n in names if not close(maps[n], expected[n])] == []


def test_file_without_top_gives_the_same_features(no_top, peer, images):
    model = InceptionV3(weights=no_top, include_top=False, pooling="avg", input_shape=SHAPE)
    assert close(model(images), keras.Model(peer.input, peer.get_layer("avg_pool").output)(images))


def test_one_channel_equals_the_grey_image_fed_three_times(classic, peer, images):
    grey = images[..., :1]
    model = InceptionV3(weights=classic, input_shape=(139, 139, 1), include_top=False, pooling="avg")
    expected = keras.Model(peer.input, peer.get_layer("avg_pool").output)(np.repeat(grey, 3, axis=-1))
    assert close(model(grey), expected)


def test_four_channels_tile_the_first_kernel(classic, images):
    settings = dict(include_top=False, input_shape=(139, 139, 4))
    loaded, by_hand = InceptionV3(weights=classic, **settings), InceptionV3(weights=None, **settings)
    three = InceptionV3(weights=classic, include_top=False).get_weights()
    kernel = three[0][:, :, [0, 1, 2, 0]] * np.float32(0.75)
    by_hand.set_weights([kernel, *three[1:]])
    x = np.concatenate([images, images[..., ::-1][..., :1]], axis=-1)
    np.testing.assert_array_equal(loaded(x), by_hand(x))


def test_other_number_of_classes_warns_and_keeps_the_trunk(classic, images):
    with pytest.warns(KerasVisionWarning, match="random values in predictions") as caught:
        model = InceptionV3(weights=classic, classes=10, input_shape=SHAPE)
    assert [w.filename for w in caught if w.category is KerasVisionWarning] == [__file__]
    trunk = keras.Model(model.input, model.get_layer("mixed10").output)
    assert model.output_shape == (None, 10)
    np.testing.assert_array_equal(trunk(images), InceptionV3(weights=classic, include_top=False)(images))


def test_other_number_of_classes_warns_once_through_create_model_too(classic):
    with pytest.warns(KerasVisionWarning, match="Train before use") as caught:
        kv.create_model("inception_v3", weights=classic, classes=10)
    assert len([w for w in caught if w.category is KerasVisionWarning]) == 1


def test_top_from_a_file_without_one_is_an_error(no_top):
    with pytest.raises(WeightsError, match="holds no classifier"):
        InceptionV3(weights=no_top)


def test_new_top_on_a_file_without_one_warns(no_top, images):
    with pytest.warns(KerasVisionWarning, match="random values in predictions"):
        model = InceptionV3(weights=no_top, classes=7, input_shape=SHAPE)
    assert model(images).shape == (2, 7)


@pytest.fixture(scope="module")
def with_auxiliary(randomize, tmp_path_factory):
    model = randomize(InceptionV3(weights=None, auxiliary="batch_norm", classes=12), seed=8)
    path = tmp_path_factory.mktemp("auxiliary") / "own.weights.h5"
    model.save_weights(path)
    return model, path


def test_own_file_with_the_auxiliary_head_loads_whole(with_auxiliary):
    model, path = with_auxiliary
    loaded = InceptionV3(weights=path, auxiliary="batch_norm")
    for expected, actual in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_auxiliary_head_of_a_file_is_dropped_without_a_warning(with_auxiliary):
    model, path = with_auxiliary
    loaded = InceptionV3(weights=path)
    np.testing.assert_array_equal(loaded.get_layer("predictions").kernel, model.get_layer("predictions").kernel)


def test_auxiliary_head_that_the_file_lacks_warns(classic, peer):
    with pytest.warns(KerasVisionWarning, match="aux_1x1_bn, aux_1x1_conv, aux_5x5_bn, aux_5x5_conv, aux_predictions"):
        model = InceptionV3(weights=classic, auxiliary="batch_norm")
    np.testing.assert_array_equal(model.get_layer("predictions").kernel, peer.get_layer("predictions").kernel)


def test_gamma_that_the_file_lacks_is_an_error(classic):
    with pytest.raises(WeightsError, match="94 missing: conv1_bn/gamma"):
        InceptionV3(weights=classic, gamma=True)


def test_unknown_auxiliary_is_an_error():
    with pytest.raises(ValueError, match="auxiliary='both'; accepted: None, 'batch_norm', 'dropout'"):
        InceptionV3(weights=None, auxiliary="both")

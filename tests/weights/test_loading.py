"""Strict loading, and where named weights come from."""

import hashlib

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision.applications.squeezenet import AUTHORS
from keras_vision.errors import KerasVisionError, WeightsError
from keras_vision.weights import home, load, save, verify
from keras_vision.weights import store as weight_store


@pytest.fixture
def model():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1")(inputs)
    x = keras.layers.BatchNormalization(name="bn1")(x)
    return keras.Model(inputs, keras.layers.Conv2D(5, 1, name="conv2")(x), name="small")


@pytest.fixture
def entries(model):
    """Arrays for every variable, none of them what the model holds."""
    shapes = {f"{layer.name}/{v.name}": tuple(v.shape) for layer in model.layers for v in layer.weights}
    return {key: np.full(shape, 7 + i, "float32") for i, (key, shape) in enumerate(shapes.items())}


def values(model):
    return {f"{layer.name}/{v.name}": v.numpy() for layer in model.layers for v in layer.weights}


def assert_untouched(model, before):
    for key, array in values(model).items():
        np.testing.assert_array_equal(array, before[key])


# ------------------------------------------------------------------------------------------------ strictness


def test_everything_is_loaded_and_reported(model, entries):
    report = load(model, entries)
    assert report.loaded == tuple(entries)
    assert (report.missing, report.unexpected, report.mismatched) == ((), (), ())
    for key, array in values(model).items():
        np.testing.assert_array_equal(array, entries[key])


def test_positions_stand_for_names(model, entries):
    numbered = {}
    for layer in model.layers:
        for i, variable in enumerate(layer.weights):
            numbered[f"{layer.name}/{i}"] = entries[f"{layer.name}/{variable.name}"]
    assert load(model, numbered).loaded == tuple(entries)
    for key, array in values(model).items():
        np.testing.assert_array_equal(array, entries[key])


def test_nested_models_are_loaded(model, entries):
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, model(inputs))
    load(outer, entries)
    np.testing.assert_array_equal(model.get_layer("conv2").kernel.numpy(), entries["conv2/kernel"])


PROBLEMS = {
    "missing": (lambda e: e.pop("bn1/moving_mean"), "1 missing: bn1/moving_mean"),
    "unexpected": (lambda e: e.update({"fc/kernel": np.ones(3)}), "1 unexpected: fc/kernel"),
    "mismatched": (
        lambda e: e.update({"conv2/bias": np.ones(6)}),
        r"1 mismatched: conv2/bias \(6,\) for \(5,\)",
    ),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_difference_is_named_and_nothing_is_assigned(kind, model, entries):
    spoil, message = PROBLEMS[kind]
    spoil(entries)
    before = values(model)
    with pytest.raises(WeightsError, match=f"the.file do not fit small: {message}"):
        load(model, entries, source="the.file")
    assert_untouched(model, before)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_an_allowed_difference_is_reported_and_the_rest_loaded(kind, model, entries):
    PROBLEMS[kind][0](entries)
    before = values(model)
    report = load(model, entries, allow=(kind,))
    problem = {"missing": "bn1/moving_mean", "unexpected": "fc/kernel", "mismatched": "conv2/bias (6,) for (5,)"}[kind]
    assert getattr(report, kind) == (problem,)
    for key, array in values(model).items():
        np.testing.assert_array_equal(array, entries[key] if key in report.loaded else before[key])
    assert len(report.loaded) == 8 - (kind != "unexpected")


@pytest.mark.parametrize("kind", PROBLEMS)
def test_allowing_one_difference_allows_no_other(kind, model, entries):
    for spoil, _ in PROBLEMS.values():
        spoil(entries)
    others = set(PROBLEMS) - {kind}
    with pytest.raises(WeightsError, match=PROBLEMS[kind][1]) as caught:
        load(model, entries, allow=others)
    assert not [other for other in others if f"1 {other}" in str(caught.value)]


def test_unknown_kind_of_difference_is_an_error(model, entries):
    with pytest.raises(WeightsError, match="accepted: missing, unexpected, mismatched"):
        load(model, entries, allow=("anything",))


def test_weights_of_another_network_are_an_error(tmp_path):
    other = kv.applications.SqueezeNetV1_1(weights=None)
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(WeightsError, match=r"other\.weights\.h5 do not fit squeezenet: .*conv1/kernel"):
        kv.applications.SqueezeNet(weights=tmp_path / "other.weights.h5")
    with pytest.raises(WeightsError, match=r"other\.weights\.h5 do(es)? not fit inceptionv3"):
        kv.applications.InceptionV3(weights=tmp_path / "other.weights.h5")


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_own_files_load_by_path(suffix, randomize, tmp_path):
    model = randomize(kv.applications.SqueezeNetComplexBypass(weights=None, classes=12))
    path = tmp_path / f"own{suffix}"
    model.save_weights(path) if "weights" in suffix else model.save(path)
    loaded = kv.applications.SqueezeNetComplexBypass(weights=str(path))
    assert loaded.output_shape == (None, 12)
    assert_untouched(loaded, values(model))


# --------------------------------------------------------------------------------- where weights come from


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VISION_HOME", str(tmp_path / "store"))
    home().mkdir()
    return home()


def test_unknown_name_lists_what_exists():
    with pytest.raises(
        WeightsError, match=r"weights='places' is neither .* None .* \(here: 'imagenet', 'torchvision'\)"
    ):
        kv.applications.SqueezeNet(weights="places")
    with pytest.raises(WeightsError, match="here: none for this model"):
        kv.applications.SqueezeNetComplexBypass(weights="imagenet")


@pytest.mark.parametrize("weights", ["", "no/such.h5", "~", 5])
def test_what_is_no_file_is_an_error(weights):
    with pytest.raises(KerasVisionError, match="neither a file nor a known name"):
        kv.applications.SqueezeNet(weights=weights)


def test_a_wrong_file_in_the_store_is_an_error(store):
    (store / AUTHORS.file).write_bytes(b"not it")
    with pytest.raises(WeightsError, match=f"{AUTHORS.file} does not have the hash {AUTHORS.hash}: delete it"):
        kv.applications.SqueezeNet()


def test_the_right_file_in_the_store_is_used(store, shared):
    real = shared / "weights" / AUTHORS.file
    (store / AUTHORS.file).write_bytes(real.read_bytes())
    named, by_path = kv.applications.SqueezeNet(weights="imagenet"), kv.applications.SqueezeNet(weights=real)
    assert named.card.loaded == by_path.card.loaded == AUTHORS.source
    assert_untouched(named, values(by_path))


def test_a_path_that_ends_in_a_public_files_name_must_be_that_file(tmp_path):
    (tmp_path / AUTHORS.file).write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"has not the hash of .*damaged, or to be renamed"):
        kv.applications.SqueezeNet(weights=tmp_path / AUTHORS.file)


def test_a_public_file_brings_its_preprocessing_and_settings(tmp_path, monkeypatch):
    """torchvision's SqueezeNet: other normalisation than the authors', and no padding before conv10."""
    model = kv.applications.SqueezeNet(weights=None, conv10_padding=0)
    save(model, tmp_path / "own.safetensors")
    (tmp_path / "squeezenet1_0-b66bff10.pth").write_bytes((tmp_path / "own.safetensors").read_bytes())
    monkeypatch.setitem(weight_store.READERS, ".pth", weight_store.READERS[".safetensors"])
    monkeypatch.setattr(weight_store, "verify", lambda path, expected: True)
    loaded = kv.applications.SqueezeNet(weights=tmp_path / "squeezenet1_0-b66bff10.pth")
    assert loaded.get_layer("conv10").output.shape[1:3] == (13, 13)
    assert (loaded.preprocessing.color, loaded.preprocessing.size) == ("RGB", (227, 227))
    assert loaded.preprocessing.std == (58.395, 57.12, 57.375)


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_verify_knows_both_kinds_of_hash(kind, tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    digest = hashlib.new(kind, b"content").hexdigest()
    assert verify(tmp_path / "file", f"{kind}:{digest}")
    assert not verify(tmp_path / "file", f"{kind}:{digest[::-1]}")

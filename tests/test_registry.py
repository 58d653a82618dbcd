"""Models by name, their cards, their taps, and arguments that do not go together."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision.applications import InceptionV3_79, SqueezeNet, SqueezeNetV1_1
from keras_vision.errors import KerasVisionError
from keras_vision.model import Tap
from keras_vision.registry import ModelCard, catalogue, find, register

NAMES = [
    ("SqueezeNetV1_1", ["SqueezeNetV1_1", "squeezenet_v1_1", "SQUEEZENET-V1-1", "squeeze_net_v1_1"]),
    ("InceptionV3", ["InceptionV3", "inception_v3", "inception-v3", "INCEPTIONV3"]),
    ("InceptionV3_79", ["inception_v3_79", "InceptionV3-79"]),
    ("SqueezeNetSimpleBypass", ["squeezenet_simple_bypass", "squeeze_net_simple_bypass"]),
]


@pytest.mark.parametrize(("name", "spellings"), NAMES)
def test_names_in_any_spelling(name, spellings):
    assert {find(spelling).name for spelling in spellings} == {name}


def test_create_model_equals_the_constructor():
    by_name = kv.create_model("squeezenet_v1_1", weights=None, classes=7)
    assert by_name.card == SqueezeNetV1_1(weights=None, classes=7).card
    assert by_name.output_shape == (None, 7)


def test_unknown_name_suggests_near_ones():
    with pytest.raises(KerasVisionError, match=r"'inception_v4'. Did you mean InceptionV3"):
        kv.create_model("inception_v4")
    with pytest.raises(KerasVisionError, match=r"'zzz'. Known: .*InceptionV3, .*SqueezeNet"):
        kv.create_model("zzz")


def test_one_name_cannot_be_registered_twice():
    with pytest.raises(KerasVisionError, match="two models answer to 'squeeze_net'"):
        register(dataclasses.replace(find("squeezenet"), name="squeeze_net"))


@pytest.mark.parametrize("pattern", ["squeeze*", "SQUEEZE*", "squeeze_net*", "*net*"])
def test_list_models_matches_patterns_in_any_case(pattern):
    squeezenets = ["SqueezeNet", "SqueezeNetComplexBypass", "SqueezeNetSimpleBypass", "SqueezeNetV1_1"]
    assert [name for name in kv.list_models(pattern) if name.startswith("Squeeze")] == squeezenets
    assert not [name for name in kv.list_models(pattern) if name.startswith("Inception")]


def test_list_models_is_sorted_and_knows_which_are_pretrained():
    assert kv.list_models() == sorted(kv.list_models())
    assert kv.list_models("nothing*") == []
    assert {"InceptionV3", "SqueezeNet"} <= set(kv.list_models(pretrained=True))
    assert "SqueezeNetComplexBypass" not in kv.list_models(pretrained=True)


# ------------------------------------------------------------------------------------------------------ cards


def test_catalogue_holds_every_model_and_no_other():
    assert list(catalogue()) == kv.list_models(), "run: python tests/golden/make_names.py"


def test_models_are_listed_by_task():
    assert "VGG16" in kv.list_models(task="classification")
    assert "FCN8s" in kv.list_models(task="segmentation")
    assert kv.list_models(task="edges") == ["HED"]
    tasks = ("classification", "segmentation", "edges")
    assert sorted(name for task in tasks for name in kv.list_models(task=task)) == kv.list_models()
    assert kv.create_model("fcn_8s", backbone="SqueezeNetV1_1").card.task == "segmentation"


def test_cards_from_before_there_were_tasks_are_of_classifiers():
    values = kv.model_card("squeezenet").to_dict()
    assert values.pop("task") == "classification"
    assert ModelCard.from_dict(values) == kv.model_card("squeezenet")


def test_card_describes_this_instance():
    card = SqueezeNet(weights=None, input_shape=(96, 128, 1), classes=4, classifier_activation=None).card
    assert card.input_shape == (96, 128, 1)
    assert (card.preprocessing.size, card.preprocessing.color) == ((96, 128), "L")
    assert (card.output, SqueezeNet(weights=None, include_top=False).card.output) == ("logit", "features")


def test_what_is_no_card_is_an_error():
    good = kv.model_card("squeezenet").to_dict()
    for bad in ({}, {**good, "colour": "red"}, {**good, "paper": {}}, {**good, "weights": None}):
        with pytest.raises(KerasVisionError, match="not a model card"):
            ModelCard.from_dict(bad)


def test_wrong_number_of_labels_is_an_error():
    model = SqueezeNet(weights=None, classes=3)
    with pytest.raises(KerasVisionError, match="2 labels for a model of 3 classes"):
        model.labels = ["cat", "dog"]
    model.labels = ["cat", "dog", "hen"]
    assert model.labels == ("cat", "dog", "hen")


# ------------------------------------------------------------------------------------------------------- taps


def test_taps_carry_shape_stride_and_receptive_field():
    taps = kv.taps(SqueezeNet(weights=None))
    assert taps["fire4"] == Tap("fire4", (55, 55, 256), (4, 4), (35, 35))
    assert taps["fire4"].channels == 256
    assert list(taps)[:3] == ["conv1", "pool1", "fire2_squeeze1x1"]
    assert not [name for name in taps if name.endswith("_pad") or name in ("image", "drop9")]


def test_taps_of_inception_end_each_named_layer():
    taps = kv.taps(kv.applications.InceptionV3(weights=None))
    assert [taps[name].shape for name in ("conv1", "mixed2", "mixed7", "mixed10")] == [
        (149, 149, 32), (35, 35, 288), (17, 17, 768), (8, 8, 2048),
    ]  # fmt: skip
    assert not [name for name in taps if name.endswith(("_conv", "_bn"))]


def test_features_are_the_last_maps_of_each_stride_by_default():
    model = SqueezeNet(weights=None, features_only=True)
    assert list(model.output) == ["conv1", "fire4", "fire8", "fire9"]
    outputs = model(np.ones((1, 64, 64, 3), "float32"))
    assert {name: out.shape[-1] for name, out in outputs.items()} == dict(conv1=96, fire4=256, fire8=512, fire9=512)
    assert model.card.output == "features"


@pytest.mark.parametrize("taps", ["fire2/squeeze1x1", ["fire2/squeeze1x1", "fire9"], ("fire9",)])
def test_features_by_name_come_under_the_name_that_was_asked_for(taps, randomize):
    model = randomize(SqueezeNet(weights=None, features_only=True, taps=taps))
    outputs = model(np.ones((1, 64, 64, 3), "float32"))
    assert list(outputs) == ([taps] if isinstance(taps, str) else list(taps))
    layer = list(outputs)[-1].replace("/", "_")
    expected = keras.Model(model.input, model.get_layer(layer).output)(np.ones((1, 64, 64, 3), "float32"))
    np.testing.assert_array_equal(list(outputs.values())[-1], expected)


def test_features_model_survives_a_keras_file(randomize, tmp_path):
    model = randomize(SqueezeNet(weights=None, features_only=True, taps=["fire2/squeeze1x1", "fire9"]))
    model.save(tmp_path / "features.keras")
    loaded, x = keras.saving.load_model(tmp_path / "features.keras"), np.ones((1, 64, 64, 3), "float32")
    assert loaded.card == model.card
    for name, expected in model(x).items():
        np.testing.assert_array_equal(loaded(x)[name], expected)


def test_unknown_tap_suggests_near_ones():
    with pytest.raises(KerasVisionError, match=r"squeezenet has no tap 'fire22'. Did you mean fire2"):
        SqueezeNet(weights=None, features_only=True, taps=["fire22"])


# -------------------------------------------------------------------------------------------------- arguments

WRONG = [
    (dict(pooling="avg"), "pooling is for include_top=False"),
    (dict(pooling="median", include_top=False), "pooling='median'; accepted: None, 'avg', 'max'"),
    (dict(classes=0), "classes=0; give the number of classes, at least 1"),
    (dict(classes=-1), "classes=-1"),
    (dict(classes=2.5), "classes=2.5"),
    (dict(classifier_activation="relu"), "classifier_activation='relu'; accepted: 'softmax', 'sigmoid', None"),
    (dict(classifier_activation=keras.activations.softmax), "classifier_activation=.*accepted: 'softmax'"),
    (dict(input_shape=(None, None, 3)), "leaves the size open; that needs include_top=False"),
    (dict(input_shape=(227, 227)), "input_shape=.*give .height, width, channels., channels last"),
    (dict(input_shape=(3, 227, 227)), "input_shape=.3, 227, 227. is too small"),
    (dict(input_shape=(227, 227, 0)), "input_shape"),
    (dict(input_shape=(227, 227, None)), "input_shape"),
    (dict(input_shape=227), "input_shape=227"),
    (dict(input_tensor=np.zeros((1, 227, 227, 3))), "input_tensor must be a symbolic image batch"),
    (dict(input_tensor=keras.Input((227, 3))), "input_tensor must be a symbolic image batch"),
    (dict(input_tensor=keras.Input((227, 227, 3)), input_shape=(224, 224, 3)), "input_tensor .* differ; give one"),
    (dict(depth=4), r"SqueezeNet takes no \['depth'\]; its own settings are \['base_e'"),
    (dict(taps=["fire9"]), "features_only"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda v: str(v)[:40] if isinstance(v, dict) else "")
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        SqueezeNet(**{"weights": None, **arguments})


def test_input_tensor_is_built_upon(randomize):
    images = keras.Input((96, 96, 3), name="photograph")
    model = SqueezeNet(weights=None, input_tensor=keras.layers.Rescaling(1 / 255)(images), classes=5)
    plain = SqueezeNet(weights=None, input_shape=(96, 96, 3), classes=5)
    plain.set_weights(randomize(model).get_weights())
    x = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")
    assert model.input is images
    np.testing.assert_allclose(model(x), plain(x / 255), atol=1e-6)


def test_input_tensor_of_the_same_shape_as_input_shape_is_accepted():
    inputs = keras.Input((64, 64, 3))
    assert SqueezeNet(weights=None, input_tensor=inputs, input_shape=(64, 64, 3)).input is inputs


def test_documentation_lists_the_settings_of_the_row():
    assert "size=79, first_stride=1, first_pool=False" in InceptionV3_79.__doc__
    assert (InceptionV3_79.__name__, InceptionV3_79.__module__) == (
        "InceptionV3_79",
        "keras_vision.applications.inception_v3",
    )

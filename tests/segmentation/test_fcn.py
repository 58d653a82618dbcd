"""Fully convolutional networks on small backbones: any size, every backbone, heads, training, files."""

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision.errors import KerasVisionError, KerasVisionWarning
from keras_vision.segmentation import FCN8s, FCN16s, FCN32s

SIZES = [(1, 1), (7, 3), (33, 65), (64, 64), (100, 101)]
SMALL = dict(classes=5, fc=16)


def images(height, width, channels=3, n=1):
    return np.random.default_rng(height + width).normal(0, 1, (n, height, width, channels)).astype("float32")


@pytest.mark.parametrize(("backbone", "geometry"), [
    ("SqueezeNetV1_1", "same"),
    ("VGG11", "same"),
    ("VGG11", "crop"),
    ("AlexNet", "crop"),
    ("GoogLeNet", "same"),
    ("ResNet18", "same"),
    ("InceptionV3", "same"),
    ("Xception", "same"),
    ("DenseNet40K12", "same"),
])  # fmt: skip
def test_images_of_any_size_give_logits_of_their_size(backbone, geometry, randomize):
    model = randomize(FCN8s(backbone=backbone, geometry=geometry, **SMALL))
    assert model.output_shape == (None, None, None, 5)
    for size in SIZES:
        logits = np.asarray(model(images(*size)))
        assert logits.shape == (1, *size, 5)
        assert np.isfinite(logits).all()
        assert np.ptp(logits) > 0


@pytest.mark.parametrize(("build", "skips"), [(FCN32s, []), (FCN16s, ["conv4_2"]), (FCN8s, ["conv4_2", "conv3_2"])])
def test_the_strides_down_to_the_finest_are_scored(build, skips):
    model = build(backbone="ResNet18", **SMALL)
    scored = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and "score" in layer.name]
    assert scored == ["score_fr", *[f"score_{name}" for name in skips]]


def test_named_maps_are_scored_instead():
    model = FCN32s(backbone="SqueezeNetV1_1", skips=("fire3", "fire5"), **SMALL)
    names = [layer.name for layer in model.layers]
    assert {"score_fire5", "score_fire3", "upscore2", "upscore_fire5"} <= set(names)
    with pytest.raises(KerasVisionError, match="no tap 'pool4'; known: conv1"):
        FCN8s(backbone="SqueezeNetV1_1", skips="pool4", **SMALL)


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(backbone="FCN32s"), "is for segmentation; give the name of a classifier"),
    (dict(backbone="SqueezeNetV1_1", geometry="crop"), "accepted: 'same', and 'crop' for VGG11"),
    (dict(backbone="SqueezeNetV1_1", geometry="wide"), "geometry='wide'"),
    (dict(backbone="SqueezeNetV1_1", include_top=False), r"FCN8s takes no \['include_top'\]; its own settings are"),
    (dict(classes=0), "give the number of classes"),
    (dict(classes={}), "one for each named output"),
    (dict(input_shape=(None, None)), "channels last"),
    (dict(input_shape=(None, None, None)), "channels last"),
    (dict(weights="a.npz", backbone_weights="b.npz"), "leave backbone_weights out"),
])  # fmt: skip
def test_what_cannot_be_built_is_an_error(arguments, message):
    with pytest.raises(KerasVisionError, match=message):
        FCN8s(**arguments)


def test_logits_start_at_zero_and_upsampling_at_interpolation():
    model = FCN8s(backbone="VGG11", **SMALL)
    assert not np.asarray(model(images(40, 40))).any()
    up = model.get_layer("upscore2")
    np.testing.assert_allclose(np.asarray(up.kernel)[:, :, 2, 2][0], np.outer([1, 3, 3, 1], [1, 3, 3, 1])[0] / 16)
    assert not np.asarray(up.kernel)[:, :, 2, 3].any()
    assert (up.trainable, model.get_layer("upscore8").trainable) == (True, False)


def test_two_outputs_share_everything_but_their_scores(randomize):
    model = randomize(FCN16s(backbone="ResNet18", classes={"semantic": 33, "geometric": 3}))
    outputs = model(images(40, 50))
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        "semantic": (1, 40, 50, 33), "geometric": (1, 40, 50, 3)
    }  # fmt: skip
    alone = FCN16s(backbone="ResNet18", classes=3)
    for layer in alone.layers:
        twin = f"geometric_{layer.name}" if layer.name.startswith(("score", "upscore")) else layer.name
        layer.set_weights(model.get_layer(twin).get_weights() if layer.weights else [])
    np.testing.assert_allclose(alone(images(40, 50)), outputs["geometric"], rtol=1e-5, atol=1e-5)


def test_a_step_of_training_changes_everything_that_is_to_be_trained(randomize):
    model = randomize(FCN8s(backbone="SqueezeNetV1_1", **SMALL))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    before = [v.numpy() for v in model.trainable_variables]
    model.train_on_batch(images(48, 64, n=2), np.arange(2 * 48 * 64).reshape(2, 48, 64) % 5)
    assert not [v.path for v, b in zip(model.trainable_variables, before, strict=True) if np.array_equal(v.numpy(), b)]


@pytest.mark.parametrize("geometry", ["same", "crop"])
def test_keras_file_keeps_outputs_card_and_labels(geometry, randomize, tmp_path):
    model = randomize(FCN8s(backbone="VGG11", geometry=geometry, **SMALL))
    model.labels = ["sky", "road", "car", "tree", "sign"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.card, loaded.labels) == (model.card, model.labels)
    assert (loaded.card.task, loaded.card.output) == ("segmentation", "logit")
    np.testing.assert_array_equal(loaded(images(33, 50)), model(images(33, 50)))


def test_a_classifier_s_file_is_the_trunk_s_start(shared):
    path = shared / "weights" / "squeezenet_v1.1.npz"
    model = FCN8s(backbone="SqueezeNetV1_1", backbone_weights=path, **SMALL)
    classifier = kv.create_model("SqueezeNetV1_1", weights=path)
    for name in ("conv1", "fire9_expand3x3"):
        np.testing.assert_array_equal(model.get_layer(name).kernel, classifier.get_layer(name).kernel)
    assert model.card.loaded == "trunk: squeezenet_v1.1.npz"
    assert model.preprocessing.mean == classifier.preprocessing.mean


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_start_from_the_colours_kernel(channels, shared):
    path = shared / "weights" / "squeezenet_v1.1.npz"
    arguments = dict(backbone="SqueezeNetV1_1", backbone_weights=path, **SMALL)
    colour, other = FCN8s(**arguments), FCN8s(input_shape=(None, None, channels), **arguments)
    kernel, adapted = (np.asarray(m.get_layer("conv1").kernel) for m in (colour, other))
    expected = kernel.sum(axis=2) if channels == 1 else kernel[:, :, 0] * 0.75
    np.testing.assert_allclose(adapted[:, :, 0], expected, rtol=1e-6)
    assert other(images(30, 30, channels)).shape == (1, 30, 30, 5)


def test_weights_without_fc6_say_so(tmp_path, randomize):
    trunk = randomize(kv.create_model("VGG11", include_top=False, weights=None))
    kv.weights.save(trunk, tmp_path / "notop.npz")
    with pytest.warns(KerasVisionWarning, match="holds no fc6 and fc7"):
        model = FCN32s(backbone="VGG11", backbone_weights=tmp_path / "notop.npz", **SMALL)
    np.testing.assert_array_equal(model.get_layer("conv3_1").kernel, trunk.get_layer("conv3_1").kernel)


def test_mixed_float16_gives_float32_logits():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        models = [FCN8s(backbone="VGG11", geometry=g, **SMALL) for g in ("same", "crop")]
    finally:
        keras.config.set_dtype_policy("float32")
    for model in models:
        assert np.asarray(model(images(33, 40))).dtype == np.float32
        assert model.get_layer("upscore2").compute_dtype == "float16"

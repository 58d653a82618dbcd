"""ResNet against Keras Applications in the same process, its CIFAR files' scores, and shortcuts built by hand."""

import io
import tarfile

import keras
import numpy as np
import pytest
from closeness import close
from PIL import Image

import keras_vision as kv
from keras_vision import graph
from keras_vision.applications import resnet
from keras_vision.errors import KerasVisionError, WeightsError
from keras_vision.fully_convolutional import fully_convolutional

SHAPE = (64, 64, 3)
DEEP = [pytest.param(name, marks=pytest.mark.slow) for name in ("ResNet101", "ResNet152")]
WEIGHT_LAYERS = {"ResNet18": 18, "ResNet34": 34, "ResNet50": 50, "ResNet20CIFAR": 20, "ResNet56CIFAR": 56}
WEIGHT_LAYERS |= {"PlainNet18": 18, "PlainNet34": 34, "PlainNet20CIFAR": 20}


def damped(model, randomize, seed=0):
    """Seeded weights; the last batch norm before each addition at a fifth, or the variance would double there."""
    randomize(model, seed=seed)
    for layer in model.layers:
        for joined in keras.tree.flatten(layer.input) if isinstance(layer, keras.layers.Add) else []:
            before = joined._keras_history.operation
            if isinstance(before, keras.layers.BatchNormalization):
                before.gamma.assign(before.gamma.numpy() * 0.2)
    return model


def build(name, **arguments):
    return kv.create_model(name, weights=None, **arguments)


# ----------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("name", WEIGHT_LAYERS)
def test_number_of_weight_layers_is_the_papers(name):
    convolutions = [n for n in (layer.name for layer in build(name).layers) if n.endswith("_conv") and "cut" not in n]
    assert len(convolutions) + 1 == WEIGHT_LAYERS[name]


def test_multiply_adds_are_the_published_ones():
    published = {"ResNet18": 1.8, "ResNet34": 3.6, "PlainNet34": 3.6, "ResNet50": 3.8, "ResNet101": 7.6}  # 1e9, Table 1
    for name, cost in published.items():
        assert kv.model_card(name).multiply_adds / 1e9 == pytest.approx(cost, abs=0.07)


def test_taps_have_the_sizes_of_table_1():
    taps = kv.taps(build("ResNet50"))
    maps = {name: taps[name].shape for name in ("conv1", "pool1", "conv2_3", "conv3_4", "conv4_6", "conv5_3")}
    assert maps == {
        "conv1": (112, 112, 64), "pool1": (56, 56, 64), "conv2_3": (56, 56, 256), "conv3_4": (28, 28, 512),
        "conv4_6": (14, 14, 1024), "conv5_3": (7, 7, 2048),
    }  # fmt: skip
    assert not [name for name in taps if name.endswith(("_conv", "_bn", "_pad"))]


@pytest.mark.parametrize(
    ("layout", "strided"), [("keras", "conv3_1_1_conv"), ("torch", "conv3_1_2_conv"), ("caffe", "conv3_1_1_conv")]
)
def test_layouts_differ_in_bias_epsilon_and_stride(layout, strided):
    model = build("ResNet50", layout=layout, include_top=False)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {layer.use_bias for layer in convolutions} == {layout == "keras"}
    assert model.get_layer("conv1_bn").epsilon == (1.001e-5 if layout == "keras" else 1e-5)
    halving = {c.name for c in convolutions if c.name.startswith("conv3_1") and c.strides == (2, 2)}
    assert halving == {"conv3_1_shortcut_conv", strided}


@pytest.mark.parametrize("name", ["PlainNet18", "PlainNet20CIFAR"])
def test_plain_nets_have_no_additions(name):
    names = [layer.name for layer in build(name).layers]
    assert not [name for name in names if "add" in name or "shortcut" in name]


# -------------------------------------------------------------------------------------------- shortcuts


def option_a(x, filters):
    """Section 3.3 on `(n, h, w, c)`: every second cell, zeros around the channels."""
    side = (filters - x.shape[-1]) // 2
    out = np.zeros((len(x), -(-x.shape[1] // 2), -(-x.shape[2] // 2), filters), x.dtype)
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            out[:, i, j, side : side + x.shape[-1]] = x[:, 2 * i, 2 * j]
    return out


@pytest.mark.parametrize("size", [(32, 32), (17, 20)])
def test_option_a_equals_the_numpy_construction(size, randomize):
    x = np.random.default_rng(0).normal(0, 1, (2, *size, 3)).astype("float32")
    model = randomize(build("ResNet20CIFAR", include_top=False))
    names = ["conv2_3", "conv3_1_shortcut", "conv3_1_2_bn", "conv3_1_add"]
    before, shortcut, branch, added = (
        np.asarray(y) for y in keras.Model(model.input, [model.get_layer(name).output for name in names])(x)
    )
    np.testing.assert_array_equal(shortcut, option_a(before, 32))
    np.testing.assert_allclose(added, shortcut + branch, rtol=1e-6)


def test_option_a_has_no_weights_and_leaves_equal_shapes_alone():
    model = build("ResNet20CIFAR")
    shortcuts = [layer.name for layer in model.layers if layer.name.endswith("_shortcut")]
    assert shortcuts == ["conv3_1_shortcut", "conv4_1_shortcut"]
    assert model.count_params() == build("PlainNet20CIFAR").count_params()


def test_option_a_on_imagenet_has_only_the_plain_nets_weights():
    with_a, plain = (build(name, shortcut="A" if name[0] == "R" else None) for name in ("ResNet34", "PlainNet34"))
    assert with_a.count_params() == plain.count_params() < build("ResNet34").count_params()


# ----------------------------------------------------------------------------------- Keras Applications


@pytest.fixture(scope="module", params=["ResNet50", *DEEP])
def peer(request, randomize):
    """Keras' own network."""
    return damped(getattr(keras.applications, request.param)(weights=None, input_shape=SHAPE), randomize, seed=5)


@pytest.fixture(scope="module")
def name(peer):
    return {"resnet50": "ResNet50", "resnet101": "ResNet101", "resnet152": "ResNet152"}[peer.name]


@pytest.fixture(scope="module")
def file(peer, tmp_path_factory):
    path = tmp_path_factory.mktemp("resnet") / f"{peer.name}.h5"
    peer.save(path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(0, 1, (2, *SHAPE)).astype("float32")


def test_equals_keras_applications_with_top(name, file, peer, images):
    assert close(kv.create_model(name, weights=file, input_shape=SHAPE)(images), peer(images))


def test_equals_keras_applications_without_top(name, file, peer, images):
    trunk = keras.Model(peer.input, peer.get_layer("conv5_block3_out").output)
    assert close(kv.create_model(name, weights=file, include_top=False)(images), trunk(images))


def test_weights_of_the_other_layout_are_refused(name, file, peer, tmp_path):
    with pytest.raises(WeightsError, match="weights in layout='keras', with biases, for a network in layout='torch'"):
        kv.create_model(name, weights=file, layout="torch")
    path = tmp_path / "torch.weights.h5"
    build(name, layout="torch", input_shape=SHAPE).save_weights(path)
    with pytest.raises(WeightsError, match="pass layout='torch', or other weights"):
        kv.create_model(name, weights=path)
    assert kv.create_model(name, weights=path, layout="torch").card.loaded == path.name


def test_preprocessing_equals_keras_applications():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype("float32")
    expected = keras.applications.resnet.preprocess_input(pixels.copy())
    np.testing.assert_allclose(resnet.preprocess_input(pixels), expected, atol=1e-5)


def test_public_files_bring_their_layout():
    for row, files in resnet.WEIGHTS.items():
        for known in files:
            assert known.settings.get("layout", "keras") in known.file + known.source.lower()
        assert resnet.TABLE[row]["layout"] == ("torch" if files[0].settings else "keras")


# -------------------------------------------------------------------------------------------- CIFAR files

PUBLISHED = {"resnet20-12fca82f.th": 8103, "resnet56-4bfd9763.th": 8320}  # of 10,000, on JPEG copies of the test set
ALLOWED = 10


@pytest.fixture(scope="module")
def cifar(shared):
    """Images and labels of the test set."""
    images, labels, classes = [], [], {}
    with tarfile.open(shared / "data/cifar10_jpeg/cifar10_jpeg_test.tar.gz") as archive:
        for member in sorted((m for m in archive.getmembers() if m.isfile()), key=lambda m: m.name):
            labels.append(classes.setdefault(member.name.split("/")[1], len(classes)))
            images.append(Image.open(io.BytesIO(archive.extractfile(member).read())))
    assert (len(images), len(classes)) == (10_000, 10)
    return images, np.array(labels)


@pytest.mark.parametrize("file", ["resnet20-12fca82f.th", pytest.param("resnet56-4bfd9763.th", marks=pytest.mark.slow)])
def test_the_public_files_score_as_published(file, shared, cifar):
    model = kv.create_model(f"{file.partition('-')[0]}cifar", weights=shared / "weights" / file)
    assert (model.output_shape, model.card.loaded) == ((None, 10), "CIFAR-10, by Yerlan Idelbayev")
    images, labels = cifar
    scores = model.predict(np.stack([model.preprocessing(image) for image in images]), batch_size=500, verbose=0)
    assert abs(int((scores.argmax(1) == labels).sum()) - PUBLISHED[file]) <= ALLOWED


# ----------------------------------------------------------------------------------------- nested stages


@pytest.fixture(scope="module")
def flat_and_nested(randomize, tmp_path_factory):
    """The same net as one graph and with a model for each stage, which reads the first one's file."""
    path = tmp_path_factory.mktemp("nested") / "flat.npz"
    flat = damped(build("ResNet20CIFAR", n=2), randomize)
    kv.weights.save(flat, path)
    return flat, kv.create_model("ResNet1202CIFAR", weights=path, n=2)


def test_nested_stages_change_neither_outputs_nor_counts(flat_and_nested):
    flat, nested = flat_and_nested
    x = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(nested(x), flat(x), atol=1e-6)
    counts = [(m.card.parameters, m.card.trainable_parameters, m.card.multiply_adds) for m in (flat, nested)]
    assert counts[0] == counts[1]
    assert graph.minimum_size(flat) == graph.minimum_size(nested)


def test_nested_stages_are_taps_with_the_geometry_of_their_last_block(flat_and_nested):
    flat, nested = (kv.taps(model) for model in flat_and_nested)
    assert list(nested) == ["conv1", "conv2_x", "conv3_x", "conv4_x"]
    for stage in (2, 3, 4):
        ours, theirs = nested[f"conv{stage}_x"], flat[f"conv{stage}_2"]
        assert (ours.shape, ours.stride, ours.receptive_field) == (theirs.shape, theirs.stride, theirs.receptive_field)


def test_features_of_nested_stages_equal_the_flat_ones(flat_and_nested, tmp_path):
    kv.weights.save(flat_and_nested[0], tmp_path / "flat.npz")
    arguments = dict(weights=tmp_path / "flat.npz", n=2, features_only=True)
    x = np.random.default_rng(0).normal(0, 1, (2, 40, 33, 3)).astype("float32")
    ours = kv.create_model("ResNet1202CIFAR", **arguments)(x)
    theirs = kv.create_model("ResNet20CIFAR", taps=["conv2_2", "conv3_2", "conv4_2"], **arguments)(x)
    for actual, expected in zip(ours.values(), theirs.values(), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize("output_stride", [1, 2])
def test_nested_stages_are_dilated(output_stride, flat_and_nested, tmp_path):
    kv.weights.save(flat_and_nested[0], tmp_path / "flat.npz")
    arguments = dict(weights=tmp_path / "flat.npz", n=2, include_top=False, output_stride=output_stride)
    flat, nested = (kv.create_model(name, **arguments) for name in ("ResNet20CIFAR", "ResNet1202CIFAR"))
    x = np.random.default_rng(0).normal(0, 1, (1, 32, 32, 3)).astype("float32")
    assert flat(x).shape[1] == 32 // output_stride
    np.testing.assert_allclose(nested(x), flat(x), atol=1e-5)


def test_nested_stages_take_images_of_other_sizes(flat_and_nested):
    x = np.random.default_rng(0).normal(0, 1, (2, 48, 33, 3)).astype("float32")
    flat, nested = (fully_convolutional(model) for model in flat_and_nested)
    np.testing.assert_allclose(nested(x), flat(x), atol=1e-5)


def test_nested_stages_survive_a_keras_file(flat_and_nested, tmp_path):
    nested = flat_and_nested[1]
    nested.save(tmp_path / "nested.keras")
    x = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype("float32")
    loaded = keras.saving.load_model(tmp_path / "nested.keras")
    np.testing.assert_array_equal(loaded(x), nested(x))
    again = kv.create_model("ResNet1202CIFAR", weights=tmp_path / "nested.keras", n=2)
    np.testing.assert_array_equal(again(x), nested(x))


# ------------------------------------------------------------------------------------------- wrong settings

WRONG = [
    ("ResNet50", dict(layout="mxnet"), "layout='mxnet'; accepted: 'keras', 'torch', 'caffe'"),
    ("ResNet50", dict(block="inverted"), "block='inverted'; accepted: 'basic', 'bottleneck'"),
    ("ResNet18", dict(shortcut="D"), "shortcut='D'; accepted: 'A', 'B', 'average', None"),
    ("ResNet18", dict(blocks=(2, 2, 2)), r"blocks=\(2, 2, 2\); give 4 whole numbers"),
    ("ResNet18", dict(blocks=(2, 2, 0, 2)), r"blocks=\(2, 2, 0, 2\); give 4 whole numbers of blocks, each at least 1"),
    ("ResNet18", dict(blocks=18), "blocks=18; give 4 whole numbers"),
    ("ResNet20CIFAR", dict(n=0), "n=0; a net of 6n [+] 2 layers"),
    ("ResNet20CIFAR", dict(n=2.5), "n=2.5; a net of 6n [+] 2 layers"),
    ("ResNet20CIFAR", dict(layout="keras"), r"ResNet20CIFAR takes no \['layout'\]; its own settings are \['n'"),
]


@pytest.mark.parametrize(("name", "settings", "message"), WRONG)
def test_wrong_settings_are_named(name, settings, message):
    with pytest.raises(KerasVisionError, match=message):
        build(name, **settings)


@pytest.mark.parametrize("name", ["ResNet18", "ResNet20CIFAR"])
def test_exports_give_the_same_outputs(name, randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = damped(build(name, classes=5, input_shape=(32, 32, 3)), randomize)
    litert = kv.export.to_litert(model, tmp_path / "model.tflite")
    saved = kv.export.to_saved_model(model, tmp_path / "saved")
    for checked in (litert, saved):
        assert checked.max_difference <= 1e-4 * checked.output_range

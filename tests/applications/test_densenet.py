"""DenseNet against Keras Applications in the same process, its tables, and recomputation."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from closeness import close
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.applications import _densenet_files, densenet
from keras_vision.errors import KerasVisionError
from keras_vision.weights.loading import variables

SHAPE = (64, 64, 3)
DEEP = [pytest.param(name, marks=pytest.mark.slow) for name in ("DenseNet169", "DenseNet201")]


def build(name, **arguments):
    return kv.create_model(name, weights=None, **arguments)


# ----------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("name", ["DenseNet121", "DenseNet161", "DenseNet40K12", "DenseNetB100K12", "DenseNetBC100K12"])
def test_number_of_weight_layers_is_in_the_name(name):
    layers = [w for w in build(name).weights if w.name == "kernel"]
    assert len(layers) == int(name.removeprefix("DenseNet").lstrip("BC").partition("K")[0])


def test_taps_have_the_sizes_of_table_1():
    taps = kv.taps(build("DenseNet121"))
    names = ("conv1", "pool1", "dense1", "transition1", "dense2", "transition2", "dense3", "transition3", "norm")
    maps = {name: taps[name].shape[1:] for name in names}
    assert maps == {
        "conv1": (112, 64), "pool1": (56, 64), "dense1": (56, 256), "transition1": (28, 128), "dense2": (28, 512),
        "transition2": (14, 256), "dense3": (14, 1024), "transition3": (7, 512), "norm": (7, 1024),
    }  # fmt: skip
    assert taps["dense2_7"].channels == 32
    assert not [name for name in taps if name.endswith(("_bn", "_relu", "_pad", "_conv"))]


@pytest.mark.parametrize(
    ("name", "channels", "transition"),
    [("DenseNet40K12", 16, 160), ("DenseNetB100K12", 16, 208), ("DenseNetC100K12", 16, 200),
     ("DenseNetBC100K12", 24, 108), ("DenseNetBC100K24", 48, 216)],
)  # fmt: skip
def test_first_convolution_and_compression_are_the_papers(name, channels, transition):
    taps = kv.taps(build(name))
    assert (taps["conv1"].channels, taps["transition1"].channels) == (channels, transition)


def test_each_layer_sees_the_maps_of_all_before_it(randomize):
    """Equation 2 in NumPy, from the taps of one block."""
    model = randomize(build("DenseNet40K12", depth=10, include_top=False))
    names = ["conv1", "dense1_1", "dense1_2", "dense1"]
    x = np.random.default_rng(0).normal(0, 1, (2, 32, 32, 3)).astype("float32")
    first, one, two, block = keras.Model(model.input, [model.get_layer(name).output for name in names])(x)
    np.testing.assert_array_equal(block, np.concatenate([first, one, two], axis=-1))
    norm, kernel = model.get_layer("dense1_2_bn"), model.get_layer("dense1_2").kernel
    seen = np.concatenate([first, one], axis=-1)
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + 1e-5)
    active = np.maximum((seen - norm.moving_mean.numpy()) * scale + norm.beta.numpy(), 0)
    padded = np.pad(active, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = sum(
        padded[:, i : i + 32, j : j + 32] @ np.asarray(kernel)[i, j] for i in range(3) for j in range(3)
    )  # fmt: skip
    np.testing.assert_allclose(two, expected, atol=1e-5 * np.ptp(expected))


# ----------------------------------------------------------------------------------- Keras Applications


@pytest.fixture(scope="module", params=["DenseNet121", *DEEP])
def peer(request, randomize):
    """Keras' own network."""
    return randomize(getattr(keras.applications, request.param)(weights=None, input_shape=SHAPE), seed=5)


@pytest.fixture(scope="module")
def name(peer):
    return peer.name.replace("densenet", "DenseNet")


@pytest.fixture(scope="module")
def file(peer, tmp_path_factory):
    path = tmp_path_factory.mktemp("densenet") / f"{peer.name}.h5"
    peer.save(path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(0, 1, (2, *SHAPE)).astype("float32")


def test_equals_keras_applications_with_top(name, file, peer, images):
    assert close(kv.create_model(name, weights=file, input_shape=SHAPE)(images), peer(images))


def test_equals_keras_applications_without_top(name, file, peer, images):
    trunk = keras.Model(peer.input, peer.get_layer("relu").output)
    assert close(kv.create_model(name, weights=file, include_top=False)(images), trunk(images))


def test_names_of_the_public_files_are_known(name, file, peer, images, tmp_path):
    """The files were written when Keras allowed a slash in names, and the classifier was called after its width."""
    older = {"conv1_conv": "conv1/conv", "conv1_bn": "conv1/bn", "predictions": "fc1000"}
    arrays = {
        f"{older.get(layer.name, layer.name)}/{v.name}": v.numpy() for layer in peer.layers for v in layer.weights
    }
    save_file(arrays, tmp_path / "older.safetensors")
    assert close(kv.create_model(name, weights=tmp_path / "older.safetensors", input_shape=SHAPE)(images), peer(images))


def test_older_and_newer_names_of_torchvision_are_known():
    settings = densenet.TABLE["DenseNet121"]
    modules = dict(_densenet_files.torch_modules(**settings))
    for part, own in (("norm1", "1x1_bn"), ("conv1", "1x1"), ("norm2", "bn")):
        newer, older = (f"features.denseblock3.denselayer12.{p}" for p in (part, f"{part[:-1]}.{part[-1]}"))
        assert modules[newer] == f"dense3_12_{own}"
        for module in (newer, older):
            assert list(densenet.convert({f"{module}.bias": np.zeros(3)}, settings)) == [f"dense3_12_{own}/bias"]


def test_preprocessing_equals_keras_applications():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype("float32")
    expected = keras.applications.densenet.preprocess_input(pixels.copy())
    np.testing.assert_allclose(densenet.preprocess_input(pixels), expected, atol=1e-5)


def test_torchvisions_and_the_authors_files_bring_their_epsilon():
    for row, files in densenet.WEIGHTS.items():
        for known in files:
            assert known.settings == ({} if "Keras" in known.source else dict(epsilon=1e-5))
        assert densenet.TABLE[row]["epsilon"] == (1e-5 if files[0].settings else 1.001e-5)


# ------------------------------------------------------------------------------------------ recomputation


@pytest.fixture
def plain_and_recomputed(randomize, tmp_path):
    """The same small net both ways; the second reads the first one's file."""
    settings = dict(depth=16, growth=12, bottleneck=True)
    plain = randomize(build("DenseNet40K12", **settings))
    kv.weights.save(plain, tmp_path / "plain.npz")
    return plain, kv.create_model("DenseNet40K12", weights=tmp_path / "plain.npz", recompute=True, **settings)


def cifar_batch(n=4):
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (n, 32, 32, 3)).astype("float32"), rng.integers(0, 10, n)


@pytest.mark.parametrize("eagerly", [True, False])
def test_recomputation_changes_no_output_gradient_or_statistic(eagerly, plain_and_recomputed):
    x, labels = cifar_batch()
    outputs, losses, after = [], [], []
    for model in plain_and_recomputed:
        outputs.append(np.asarray(model(x)))
        model.compile(
            keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=eagerly, jit_compile=False
        )
        losses.append(model.train_on_batch(x, labels))
        after.append({path: variable.numpy() for path, _, variable in variables(model, {})})
    np.testing.assert_array_equal(*outputs)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert after[0].keys() == after[1].keys()
    for path, expected in after[0].items():
        np.testing.assert_allclose(after[1][path], expected, rtol=1e-4, atol=1e-5, err_msg=path)


def test_recomputation_survives_a_keras_file(plain_and_recomputed, tmp_path):
    model = plain_and_recomputed[1]
    model.save(tmp_path / "model.keras")
    loaded, x = keras.saving.load_model(tmp_path / "model.keras"), cifar_batch()[0]
    assert type(loaded.get_layer("dense1_1")) is kv.layers.Recomputed
    np.testing.assert_array_equal(loaded(x), model(x))


def test_recomputation_keeps_taps_counts_and_dilation(plain_and_recomputed):
    plain, recomputed = plain_and_recomputed
    ours, theirs = kv.taps(recomputed), kv.taps(plain)
    assert {name: ours[name] for name in ("conv1", "dense1_2", "dense2", "transition2", "norm")} == {
        name: theirs[name] for name in ("conv1", "dense1_2", "dense2", "transition2", "norm")
    }
    counts = [(m.card.parameters, m.card.trainable_parameters, m.card.multiply_adds) for m in (plain, recomputed)]
    assert counts[0] == counts[1]
    dilated = build("DenseNet40K12", depth=10, recompute=True, output_stride=2)
    assert kv.taps(dilated)["norm"].stride == (2, 2)
    assert type(dilated.get_layer("dense3_1")) is kv.layers.Recomputed


PEAK = """
    import pathlib, re, sys
    import keras, numpy as np
    import keras_vision as kv
    def highest():  # of this program; getrusage would count what its parent held before
        return int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
    model = kv.create_model("DenseNet40K12", weights=None, recompute=sys.argv[1] == "True")
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    before = highest()
    model.train_on_batch(np.ones((32, 32, 32, 3), "float32"), np.zeros(32))
    print("peak", highest() - before)
"""


@pytest.mark.slow
def test_recomputation_halves_the_memory_of_training():
    peaks = {}
    for recompute in ("True", "False"):
        command = [sys.executable, "-c", textwrap.dedent(PEAK), recompute]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks[recompute] = int(output.rpartition("peak ")[2])
    assert peaks["True"] < peaks["False"] / 2


# ------------------------------------------------------------------------------------------- wrong settings

WRONG = [
    ("DenseNet121", dict(growth=0), "growth=0; each layer adds a whole number of maps, at least 1"),
    ("DenseNet40K12", dict(growth=12.5), "growth=12.5; each layer adds a whole number"),
    ("DenseNet121", dict(compression=0), "compression=0; a transition keeps a share"),
    ("DenseNet121", dict(compression=1.5), "compression=1.5; a transition keeps a share"),
    ("DenseNet121", dict(blocks=(6, 0)), r"blocks=\(6, 0\); give whole numbers of layers"),
    ("DenseNet40K12", dict(depth=41), "depth=41; three blocks of equal depth have 4 [+] 3n layers, such as 40"),
    ("DenseNetBC100K12", dict(depth=99), "depth=99; .* 4 [+] 6n layers, such as 76"),
    ("DenseNet40K12", dict(depth=4), "depth=4; three blocks"),
    ("DenseNet40K12", dict(blocks=(6,)), r"DenseNet40K12 takes no \['blocks'\]"),
    ("DenseNet121", dict(input_shape=(16, 40, 3)), "too small for DenseNet121: at least 29 x 29 pixels"),
]


@pytest.mark.parametrize(("name", "settings", "message"), WRONG)
def test_wrong_settings_are_named(name, settings, message):
    with pytest.raises(KerasVisionError, match=message):
        build(name, **settings)


def test_odd_growth_is_rounded_down_at_transitions():
    taps = kv.taps(build("DenseNetBC100K12", depth=10, growth=13))
    assert (taps["dense1"].channels, taps["transition1"].channels) == (39, 19)


@pytest.mark.parametrize("recompute", [False, True])
def test_exports_give_the_same_outputs(recompute, randomize, tmp_path):
    """Both exporters compare with the Keras model themselves, and refuse a file that differs."""
    model = randomize(build("DenseNet40K12", depth=10, classes=5, recompute=recompute))
    litert = kv.export.to_litert(model, tmp_path / "model.tflite")
    saved = kv.export.to_saved_model(model, tmp_path / "saved")
    for checked in (litert, saved):
        assert checked.max_difference <= 1e-4 * checked.output_range

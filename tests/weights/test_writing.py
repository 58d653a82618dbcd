"""Weights written to every format and read back by a constructor, and through the command line."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import keras_vision as kv
from keras_vision.cli.main import app
from keras_vision.errors import KerasVisionError, WeightsError
from keras_vision.weights import save

SHAPE = (67, 67, 3)


@pytest.fixture(scope="module")
def model(randomize):
    return randomize(kv.create_model("SqueezeNetV1_1", weights=None, classes=7, input_shape=SHAPE))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".weights.h5", ".keras"])
def test_what_is_written_reads_back(suffix, model, tmp_path):
    save(model, tmp_path / f"weights{suffix}")
    again = kv.create_model("SqueezeNetV1_1", weights=tmp_path / f"weights{suffix}", input_shape=SHAPE)
    for expected, actual in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected, strict=True)


def test_the_safetensors_package_reads_it_too(model, tmp_path):
    save(model, tmp_path / "weights.safetensors")
    arrays = load_file(tmp_path / "weights.safetensors")
    assert len(arrays) == len(model.weights)
    np.testing.assert_array_equal(arrays["fire2_squeeze1x1/kernel"], model.get_layer("fire2_squeeze1x1").kernel)


def test_what_cannot_be_written(model, tmp_path):
    with pytest.raises(WeightsError, match=r"accepted: .npz, .safetensors, .weights.h5, .keras"):
        save(model, tmp_path / "weights.pth")
    (tmp_path / "here.npz").touch()
    with pytest.raises(KerasVisionError, match="exists already"):
        save(model, tmp_path / "here.npz")


@pytest.fixture
def torch_file(model, tmp_path):
    """The weights as PyTorch names and stores them."""
    from keras_vision.applications.squeezenet import TABLE, torch_modules

    names, arrays = {layer: module for module, layer in torch_modules(**TABLE["SqueezeNetV1_1"])}, {}
    for name, module in names.items():
        layer = model.get_layer(name)
        arrays[f"{module}.weight"] = np.ascontiguousarray(layer.kernel.numpy().transpose(3, 2, 0, 1))
        arrays[f"{module}.bias"] = layer.bias.numpy()
    save_file(arrays, tmp_path / "torch.safetensors")
    return tmp_path / "torch.safetensors"


def convert(*arguments):
    return CliRunner().invoke(app, ["models", "convert", *map(str, arguments)])


def test_convert_writes_our_names_and_layout(torch_file, model, tmp_path):
    done = convert(torch_file, tmp_path / "ours.npz", "--model", "SqueezeNetV1_1")
    assert done.exit_code == 0, done.output
    assert "weights of SqueezeNetV1_1, 7 classes" in done.output
    with np.load(tmp_path / "ours.npz") as arrays:
        assert set(arrays) == {f"{layer.name}/{v.name}" for layer in model.layers for v in layer.weights}
        np.testing.assert_array_equal(arrays["conv1/kernel"], model.get_layer("conv1").kernel)


def test_convert_reverses_the_first_kernel_and_the_preprocessing(torch_file, model, tmp_path):
    done = convert(torch_file, tmp_path / "ours.keras", "-m", "SqueezeNetV1_1", "--reverse-channels")
    assert done.exit_code == 0, done.output
    assert "images: RGB, minus (123.0, 117.0, 104.0)" in done.output
    arrays = kv.create_model("SqueezeNetV1_1", weights=tmp_path / "ours.keras", input_shape=SHAPE)
    np.testing.assert_array_equal(arrays.get_layer("conv1").kernel, model.get_layer("conv1").kernel.numpy()[:, :, ::-1])


@pytest.mark.parametrize(("arguments", "says"), [
    (["{file}", "{file}", "-m", "SqueezeNetV1_1"], "exists already"),
    (["{file}", "{new}.pth", "-m", "SqueezeNetV1_1"], "accepted: .npz"),
    (["{file}", "{new}.npz", "-m", "SqueezeNet"], "do not fit"),
    (["none.pth", "{new}.npz", "-m", "SqueezeNet"], "neither a file nor a known name"),
    (["{file}", "{new}.npz", "-m", "SqueezeNetV1_1", "--setting", "ceil"], "give key=value"),
])  # fmt: skip
def test_convert_says_what_is_wrong(arguments, says, torch_file, tmp_path):
    places = {"file": torch_file, "new": tmp_path / "new"}
    done = convert(*[argument.format(**places) for argument in arguments])
    assert isinstance(done.exception, KerasVisionError)
    assert says in str(done.exception)
    assert not list(tmp_path.glob("new*"))

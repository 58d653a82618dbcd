"""`compress` and `decompress` as a user runs them, and the authors' compressed SqueezeNet."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import keras_vision as kv
from keras_vision import KerasVisionError, compression
from keras_vision.cli.main import app


def run(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    model = kv.create_model("SqueezeNetV1_1", weights=None, input_shape=(64, 64, 3), classes=5)
    model.labels = list("abcde")
    path = tmp_path_factory.mktemp("model") / "small.keras"
    model.save(path)
    return path


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (80, 90, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def test_ledger_file_and_back(model, tmp_path):
    file = tmp_path / "small.kvpack"
    text = run("compress", model, "--out", file, "--bits", 4, "--sparsity", 0.67)
    assert f"{file.stat().st_size:,} bytes" in text.replace("\n", "")
    assert "67.0% of" in text
    ledger = json.loads(run("compress", model, "-o", file, "--bits", 4, "--sparsity", 0.67, "--overwrite", "--json"))
    assert ledger["size"] == file.stat().st_size == sum(line["packed"] for line in ledger["lines"]) + ledger["overhead"]
    by_name = {line["name"]: line for line in ledger["lines"]}
    line = by_name["fire9_expand3x3/kernel"]
    assert line["packed"] < line["shared"] < line["pruned"] < line["dense"] == 4 * 9 * 64 * 256
    assert by_name["conv1/bias"]["packed"] == by_name["conv1/bias"]["dense"]
    run("decompress", file, tmp_path / "back.keras")
    again = keras.models.load_model(tmp_path / "back.keras")
    assert again.labels == tuple("abcde")
    for path, array in compression.read_packed(file).items():
        assert np.array_equal(array, next(np.asarray(v) for v in again.weights if v.path == path))


def test_photographs_and_steps(model, photographs, tmp_path):
    run(
        "compress", model, "-o", tmp_path / "x.kvpack", "--bits", 5, "--sparsity", 0.5, "--images", photographs,
        "--steps", 2, "--layer", "conv10", "--layer", "fire2_squeeze1x1",
    )  # fmt: skip
    arrays = compression.read_packed(tmp_path / "x.kvpack")
    chosen = [arrays[f"{name}/kernel"] for name in ("conv10", "fire2_squeeze1x1")]
    assert all(len(np.unique(array)) <= 32 for array in chosen)
    assert len(np.unique(arrays["conv1/kernel"])) > 1000
    zeros = sum(int((array == 0).sum()) for array in chosen) / sum(array.size for array in chosen)
    assert zeros == pytest.approx(0.5, abs=0.01)


def test_bad_input_is_one_clear_error(model, photographs, tmp_path):
    file = tmp_path / "x.kvpack"
    file.write_bytes(b"precious")
    new = tmp_path / "new.kvpack"
    broken = keras.models.load_model(model)
    broken.get_layer("conv10").kernel.assign(np.full(broken.get_layer("conv10").kernel.shape, np.nan))
    broken.save(tmp_path / "nan.keras")
    for arguments, message in [
        (("compress", model, "-o", file), "exists already; pass --overwrite"),
        (("decompress", file, tmp_path / "y.keras"), "no packed file"),
        (("decompress", file, file), "exists already"),
        (("compress", model, "-o", new, "--bits", 7), "4, 5, 6, 8"),
        (("compress", model, "-o", new, "--sparsity", 1), "from 0 to less than 1"),
        (("compress", model, "-o", new, "--layer", "conv99"), "names no kernel"),
        (("compress", model, "-o", new, "--steps", 3), "without --images"),
        (("compress", model, "-o", new, "--images", photographs / "broken.jpg"), "no image can be read"),
        (("compress", tmp_path / "nan.keras", "-o", new), "conv10/kernel holds NaN"),
    ]:
        with pytest.raises(KerasVisionError, match=message):
            run(*arguments)
    assert file.read_bytes() == b"precious"
    assert not new.exists()


@pytest.fixture(scope="module")
def authors(shared):
    """SqueezeNet v1.0 with the weights of the authors' compressed file."""
    return kv.create_model("SqueezeNet", weights=shared / "weights/compressed_SqueezeNet.net")


def test_the_authors_file_goes_into_ours_bit_by_bit_and_gets_smaller(authors, shared, tmp_path):
    ledger = compression.pack(authors, tmp_path / "squeezenet.kvpack")
    arrays = compression.read_packed(tmp_path / "squeezenet.kvpack")
    decoded = np.load(shared / "weights/squeezenet_v1.0.npz")  # decoded by another reader
    for name in decoded.files:
        layer, kind = name.rsplit("/", 1)
        own = arrays[f"{layer.replace('/', '_')}/{'kernel' if kind == 'w' else 'bias'}"]
        assert np.array_equal(own.transpose(3, 2, 0, 1) if kind == "w" else own, decoded[name])
    assert all(np.array_equal(arrays[v.path], np.asarray(v)) for v in authors.weights)
    assert ledger.size < 0.85 * (shared / "weights/compressed_SqueezeNet.net").stat().st_size
    assert ledger.size <= 0.65 * 2**20  # the paper's 8-bit figure
    assert ledger.total("kept") == 415_921 + 3_976
    assert ledger.lines[0].name == "conv1/kernel"


def test_six_bits_fit_the_papers_figure(shared, tmp_path):
    model = kv.create_model("SqueezeNet", weights=shared / "weights/compressed_SqueezeNet.net")
    ledger = compression.compress(model, tmp_path / "squeezenet.kvpack", bits=6, sparsity=0.67)
    assert ledger.size <= 470_000
    assert ledger.sparsity == pytest.approx(0.67, abs=1e-4)
    assert max(line.values for line in ledger.lines) == 64

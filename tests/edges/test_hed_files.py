"""The authors' file and the PyTorch re-implementation's, at full width, against a naive forward by Caffe's rules."""

import shutil
from pathlib import Path

import naive_hed
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_vision as kv
from keras_vision.edges import HED
from keras_vision.errors import WeightsError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def arrays():
    return naive_hed.weights()


@pytest.fixture(scope="module")
def released(arrays, tmp_path_factory):
    """The network with these weights, all logits, from a file as the authors' is."""
    path = tmp_path_factory.mktemp("hed") / "hed_pretrained_bsds.caffemodel"
    path.write_bytes(naive_hed.caffemodel(arrays))
    return HED(path, output="all")


def test_the_authors_file_gives_what_caffe_computes(arrays, released):
    image = np.random.default_rng(1).normal(0, 1, (7, 18, 3)).astype("float32")
    expected = naive_hed.forward(image, arrays)
    logits = released(image[None])
    assert list(logits) == ["side1", "side2", "side3", "side4", "side5", "fuse"]
    for naive, own in zip(expected, logits.values(), strict=True):
        assert own.shape == (1, 7, 18, 1)
        assert np.ptp(naive) > 0.01
        assert np.abs(np.asarray(own)[0, ..., 0] - naive).max() <= 1e-4 * np.ptp(naive)


def test_its_card(released):
    assert released.card.loaded == "hed_pretrained_bsds.caffemodel"
    assert released.preprocessing.color == "BGR"
    assert released.preprocessing.mean == pytest.approx((104.00699, 116.66877, 122.67892), abs=1e-5)


@pytest.mark.parametrize("prefix", ["net", "module"])
def test_the_reimplementations_file_holds_the_same_weights(prefix, arrays, released, tmp_path):
    torch = naive_hed.in_torch(arrays, prefix)
    assert {f"{prefix}VggOne.0.weight", f"{prefix}VggFiv.5.bias", f"{prefix}ScoreThr.bias"} <= set(torch)
    save_file({key: np.ascontiguousarray(a) for key, a in torch.items()}, tmp_path / "hed.safetensors")
    twin = HED(tmp_path / "hed.safetensors", padding=0)
    assert twin.get_layer("image_pad").padding == ((0, 0), (0, 0))
    for layer in released.layers:
        for own, other in zip(layer.get_weights(), twin.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(own, other)


def test_files_are_read_by_the_suffix_of_the_reimplementation(tmp_path):
    shutil.copy(GOLDEN / "checkpoint.pth", tmp_path / "network-bsds500.pytorch")
    with pytest.raises(WeightsError, match="do not fit hed: 15 unexpected"):
        HED(tmp_path / "network-bsds500.pytorch")


def test_own_files_of_one_trunk_do_not_fit_another(randomize, tmp_path):
    model = randomize(HED(trunk="SqueezeNet"))
    model.save(tmp_path / "hed.keras")
    twin = HED(tmp_path / "hed.keras", trunk="SqueezeNet")
    for own, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)
    with pytest.raises(WeightsError, match="do not fit"):
        HED(tmp_path / "hed.keras", trunk="SqueezeNetV1_1")
    kv.weights.save(model, tmp_path / "hed.npz")
    partial = dict(np.load(tmp_path / "hed.npz"))
    np.savez(tmp_path / "partial.npz", **{k: v for k, v in partial.items() if not k.startswith("score_dsn2")})
    with pytest.raises(WeightsError, match="2 missing: score_dsn2/kernel, score_dsn2/bias"):
        HED(tmp_path / "partial.npz", trunk="SqueezeNet")


def test_weights_and_trunk_weights_together_are_an_error():
    with pytest.raises(kv.KerasVisionError, match="give weights or trunk_weights"):
        HED("a.npz", trunk_weights="b.npz")

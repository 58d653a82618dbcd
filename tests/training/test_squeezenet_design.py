"""SqueezeNet's design space: its networks' sizes by hand, and a sweep on two classes of noise."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from small_data import class_folders
from typer.testing import CliRunner

from keras_vision.cli.main import app
from keras_vision.errors import KerasVisionError
from keras_vision.registry import create_model
from keras_vision.training.recipes import squeezenet_design as design

TINY = dataclasses.replace(design.BASE, epochs=1, batch_size=20)
TWO = {
    "sr": {0.125: dict(sr=0.125), 0.25: dict(sr=0.25)},
    "bypass": {kind or "none": dict(bypass=kind) for kind in (None, "complex")},
}


def by_hand(sr=0.125, pct=0.5, bypass=None, classes=10):
    """Fire modules of 64 channels in, widths of section 5.1, biases everywhere."""
    total, channels = 9 * 3 * 64 + 64, 64
    for number in range(8):
        expand = 128 + 128 * (number // 2)
        e3, squeeze = int(expand * pct), int(sr * expand)
        total += channels * squeeze + squeeze + squeeze * (expand - e3) + 9 * squeeze * e3 + expand
        if bypass == "complex" and channels != expand:
            total += channels * expand + expand
        channels = expand
    return total + channels * classes + classes


def test_networks_have_the_sizes_of_the_metaparameters(undrawn):
    def size(settings):
        arguments = dict(weights=None, classes=10, input_shape=(32, 32, 3))
        return create_model("SqueezeNet", **arguments, **design.recipe_of(settings).model_settings).count_params()

    for sr, settings in design.SWEEPS["sr"].items():
        assert size(settings) == by_hand(sr)
    for share, settings in design.SWEEPS["pct_3x3"].items():
        assert size(settings) == by_hand(0.5, share)
    for kind, settings in design.SWEEPS["bypass"].items():
        assert size(settings) == by_hand(bypass=kind)


def test_complex_bypass_alone_has_smaller_pixels_unless_all_have():
    halved = dataclasses.replace(design.BASE, pixel_std=(2.0, 2.0, 2.0))
    for kind, std in {None: (), "simple": (), "complex": design.COMPLEX_STD}.items():
        assert design.recipe_of(dict(bypass=kind)).pixel_std == std
        assert design.recipe_of(dict(bypass=kind), halved).pixel_std == (2.0, 2.0, 2.0)


def test_sweeps_share_what_is_the_same_network():
    folders = [design.folder_of(settings) for sweep in design.SWEEPS.values() for settings in sweep.values()]
    assert (len(folders), len(set(folders))) == (13, 11)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("data") / "noise")


def test_a_sweep_trains_each_network_once_and_draws_it(noise, tmp_path):
    points = design.run(noise, tmp_path / "out", TINY, TWO)
    assert [(p.sweep, p.value) for p in points] == [(sweep, value) for sweep, values in TWO.items() for value in values]
    networks = [(0.125, None), (0.25, None), (0.125, None), (0.125, "complex")]
    assert [p.parameters for p in points] == [by_hand(sr, bypass=kind, classes=2) for sr, kind in networks]
    folders = {path for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert {path.name for path in folders} == {f"sr={sr}-pct_3x3=0.5-bypass={kind}" for sr, kind in networks}
    for folder in folders:
        std = keras.models.load_model(folder / "model.keras", compile=False).preprocessing.std
        assert std == (64.0 if "complex" in folder.name else 1.0,) * 3
    written = json.loads((tmp_path / "out" / "design.json").read_text())
    assert [row["top1"] for row in written] == [p.top1 for p in points]
    assert (tmp_path / "out" / "design.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(KerasVisionError, match=r"design\.json and design\.png already"):
        design.run(noise, tmp_path / "out", TINY, TWO)
    assert design.run(noise, tmp_path / "out", TINY, TWO, overwrite=True) == points  # nothing is trained again


def test_the_picture_shows_every_point():
    values = dict(sr=[0.125, 0.5, 1.0], pct_3x3=[0.01, 0.99], bypass=["none", "simple", "complex"])
    points = [
        design.Point(sweep, value, 250_000 * (number + 1), 0.5 + 0.1 * number)
        for sweep, own in values.items()
        for number, value in enumerate(own)
    ]
    ratio, share, bypass = design.figure_3(points).axes
    np.testing.assert_allclose(ratio.lines[0].get_xydata(), [(1, 50), (2, 60), (3, 70)])
    np.testing.assert_allclose(share.lines[0].get_xydata(), [(1, 50), (2, 60)])
    assert [text.get_text() for text in ratio.texts] == ["0.125", "0.5", "1"]
    assert [bar.get_height() for bar in bypass.patches] == pytest.approx([50, 60, 70])


def test_networks_that_cannot_be_are_refused_before_training(noise, tmp_path):
    with pytest.raises(KerasVisionError, match="leave a Fire module without filters"):
        design.run(noise, tmp_path / "out", TINY, {"sr": {0.0001: dict(sr=0.0001)}})
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_is_missing(tmp_path):
    result = CliRunner().invoke(app, ["recipes", "squeezenet-design", str(tmp_path / "no"), str(tmp_path / "out")])
    assert result.exit_code
    assert not (tmp_path / "out").exists()

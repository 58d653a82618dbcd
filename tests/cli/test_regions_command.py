"""`regions` and `proposals` as a user runs them: pictures, JSON, and masks that pycocotools reads back."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from typer.testing import CliRunner

import keras_vision as kv
from keras_vision.cli.main import app
from keras_vision.errors import KerasVisionError


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def picture(tmp_path):
    """A file of two squares on a ground, and its pixels."""
    image = np.full((40, 56, 3), (30, 60, 120), np.uint8)
    image[8:24, 6:22], image[14:34, 30:48] = (230, 200, 40), (200, 30, 30)
    Image.fromarray(image).save(tmp_path / "squares.png")
    return tmp_path / "squares.png", image


def test_regions_of_a_file(picture, tmp_path):
    path, image = picture
    options = ("--out", tmp_path / "out", "--spectral", 0, "--single-scale", "--threshold", 0.5)
    done = run("regions", path, *options)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out/squares.json").read_text())
    ucm = kv.proposals.single_scale_contours(image, spectral=0)
    labels = kv.proposals.segment(ucm, 0.5)
    assert labels.max() == len(record["regions"]) >= 3
    for region in record["regions"]:
        mask = coco.decode(region["segmentation"])
        np.testing.assert_array_equal(mask, labels == region["region"])
        assert region["area"] == mask.sum()
        assert region["bbox"] == coco.toBbox(region["segmentation"]).tolist()
    with Image.open(tmp_path / "out/squares.png") as overlay:
        drawn = np.asarray(overlay)
    np.testing.assert_array_equal(drawn, kv.proposals.region_overlay(image, labels))
    assert ((drawn == (255, 230, 0)).all(-1) & (labels == labels[16, 14])).any()
    assert drawn[2, 2].tolist() == [30, 60, 120]  # half the pixel, half its region's mean
    assert run("regions", path, *options).exit_code == 0  # an earlier run is replaced


def test_proposals_of_a_file(picture, tmp_path):
    path, _ = picture
    done = run("proposals", path, "--out", tmp_path / "out", "--single-scale", "--count", 20, "--spectral", 0)
    assert done.exit_code == 0, done.output
    records = json.loads((tmp_path / "out/squares.json").read_text())["proposals"]
    assert 2 <= len(records) <= 20
    masks = [coco.decode(record["segmentation"]) for record in records]
    square = np.zeros((40, 56), bool)
    square[8:24, 6:22] = True
    assert max((mask & square).sum() / (mask | square).sum() for mask in masks) > 0.7
    assert all("score" not in record for record in records)
    with Image.open(tmp_path / "out/squares.png") as sheet:
        assert sheet.size == (4 * 56, 40 * min(3, -(-len(records) // 4)))


def test_what_is_refused(picture, tmp_path):
    path, image = picture
    (tmp_path / "out").mkdir()
    (tmp_path / "out/squares.json").write_text("mine")
    done = run("regions", path, "--out", tmp_path / "out")
    assert isinstance(done.exception, KerasVisionError)
    assert "squares.json is there already" in str(done.exception)
    assert (tmp_path / "out/squares.json").read_text() == "mine"
    done = run("proposals", path, "--out", tmp_path / "other", "--ranker", path)
    assert "is no ranker" in str(done.exception)
    Image.fromarray(image).resize((5000, 3600)).save(tmp_path / "large.png", compress_level=1)
    done = run("proposals", tmp_path / "large.png", "--out", tmp_path / "other")
    assert done.exit_code == 1
    assert "18.0 megapixels" in " ".join(done.output.split())
    assert not list((tmp_path / "other").glob("*"))
    with pytest.raises(KerasVisionError, match=r"a mask of shape \(3,\)"):
        kv.proposals.coco_mask(np.ones(3))
    with pytest.raises(KerasVisionError, match="regions of"):
        kv.proposals.region_overlay(image, np.ones((3, 3), int))

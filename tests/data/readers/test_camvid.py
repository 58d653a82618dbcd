"""CamVid: the real scenes in SegNet's split, and the original colours."""

import numpy as np
import pytest
from PIL import Image

from keras_vision.data import camvid, camvid_original, unpack
from keras_vision.data.readers.camvid import CAMVID_CLASSES, COLOURS, VOID
from keras_vision.errors import KerasVisionError

COUNTS = {"train": 367, "val": 101, "test": 117}


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("camvid")
    for split in COUNTS:
        unpack(shared / f"data/camvid/camvid_{split}.tar", folder / split)
    return folder


@pytest.mark.parametrize("split", COUNTS)
def test_the_real_scenes(real, split):
    images = camvid(real, split)
    assert len(images) == COUNTS[split]
    assert images.class_names[VOID - 1] == "Bicyclist"
    counts = sum(np.bincount(images.mask(i).ravel(), minlength=VOID + 1) for i in range(0, len(images), 5))
    plain = sum(np.asarray(Image.open(mask).histogram()[: VOID + 1]) for mask in images.masks[::5])
    assert counts.tolist() == plain.tolist()
    assert (counts > 0).all()
    assert CAMVID_CLASSES[counts.argmax()] in ("Road", "Building")


def test_the_layout_of_segnet_and_of_the_sample_are_one_data_set(real, tmp_path):
    for name, source in (("val", "images"), ("valannot", "masks")):
        (tmp_path / name).symlink_to(real / "val" / source)
    images = camvid(tmp_path, "val")
    np.testing.assert_array_equal(images.mask(7), camvid(real / "val").mask(7))
    assert images.image(7).shape == (360, 480, 3)


def test_original_colours_become_the_eleven_classes(tmp_path):
    for name in ("701_StillsRaw_full", "LabeledApproved_full"):
        (tmp_path / name).mkdir()
    colours = np.array([colour for colour, _, _ in COLOURS], np.uint8)
    assert len({tuple(c) for c in colours.tolist()}) == len({name for _, name, _ in COLOURS}) == 32
    Image.new("RGB", (32, 1)).save(tmp_path / "701_StillsRaw_full/0001TP_006690.png")
    Image.new("RGB", (32, 1)).save(tmp_path / "701_StillsRaw_full/0001TP_006720.png")
    Image.fromarray(colours[None]).save(tmp_path / "LabeledApproved_full/0001TP_006690_L.png")
    (tmp_path / "train.txt").write_text("0001TP_006690.png\n")
    images = camvid_original(tmp_path, tmp_path / "train.txt")
    found = {name: value for (_, name, _), value in zip(COLOURS, images.mask(0)[0].tolist(), strict=True)}
    assert {found[n] for n in ("Car", "Truck_Bus", "SUVPickupTruck", "Train")} == {CAMVID_CLASSES.index("Car")}
    assert found["LaneMkgsDriv"] == CAMVID_CLASSES.index("Road")
    assert found["Void"] == VOID
    assert set(found.values()) == set(range(12))
    with pytest.raises(KerasVisionError, match=r"1 files .* missing: .*0001TP_006720_L\.png"):
        camvid_original(tmp_path)
    colours[3] = (1, 2, 3)
    Image.fromarray(colours[None]).save(images.masks[0])
    with pytest.raises(KerasVisionError, match=r"_L\.png: colour \(1, 2, 3\) and 0 more pixels"):
        images.mask(0)


def test_what_is_missing_is_one_error(tmp_path):
    with pytest.raises(KerasVisionError, match=r"no such folder\. Give a folder with images and masks"):
        camvid(tmp_path / "nowhere")
    with pytest.raises(KerasVisionError, match=r"no such folder\. Give one of SegNet's splits"):
        camvid(tmp_path, "train")
    (tmp_path / "images").mkdir()
    with pytest.raises(KerasVisionError, match="no images"):
        camvid(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "images/a.jpg")
    with pytest.raises(KerasVisionError, match=r"missing: .*a\.png"):
        camvid(tmp_path)

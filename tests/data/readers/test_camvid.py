"""CamVid: the real scenes in SegNet's split, and the original colours."""

import numpy as np
import pytest
from PIL import Image

from keras_vision.data import camvid, camvid_original, unpack
from keras_vision.data.readers.camvid import CAMVID_CLASSES, COLOURS, VOID
from keras_vision.errors import KerasVisionError

MEMBERS = (  # which of the 32 original classes SegNet's 11 are made of
    ("Sky", "Sky"),
    ("Building", "Bridge Building Wall Tunnel Archway"),
    ("Pole", "Column_Pole TrafficCone"),
    ("Road", "Road LaneMkgsDriv LaneMkgsNonDriv"),
    ("Pavement", "Sidewalk ParkingBlock RoadShoulder"),
    ("Tree", "Tree VegetationMisc"),
    ("SignSymbol", "SignSymbol Misc_Text TrafficLight"),
    ("Fence", "Fence"),
    ("Car", "Car SUVPickupTruck Truck_Bus Train OtherMoving"),
    ("Pedestrian", "Pedestrian Child CartLuggagePram Animal"),
    ("Bicyclist", "Bicyclist MotorcycleScooter"),
)
# The 32 colours by name, as in label_colors.txt, which comes with the data set.
LABEL_COLORS = """
64 128 64 Animal;192 0 128 Archway;0 128 192 Bicyclist;0 128 64 Bridge;128 0 0 Building;64 0 128 Car;
64 0 192 CartLuggagePram;192 128 64 Child;192 192 128 Column_Pole;64 64 128 Fence;128 0 192 LaneMkgsDriv;
192 0 64 LaneMkgsNonDriv;128 128 64 Misc_Text;192 0 192 MotorcycleScooter;128 64 64 OtherMoving;
64 192 128 ParkingBlock;64 64 0 Pedestrian;128 64 128 Road;128 128 192 RoadShoulder;0 0 192 Sidewalk;
192 128 128 SignSymbol;128 128 128 Sky;64 128 192 SUVPickupTruck;0 0 64 TrafficCone;0 64 64 TrafficLight;
192 64 128 Train;128 128 0 Tree;192 128 192 Truck_Bus;64 0 64 Tunnel;192 192 0 VegetationMisc;0 0 0 Void;64 192 0 Wall
"""
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
    published = [entry.split() for entry in LABEL_COLORS.split(";")]
    colours = np.array([list(map(int, entry[:3])) for entry in published], np.uint8)
    assert len({tuple(c) for c in colours.tolist()}) == len(COLOURS) == 32
    Image.new("RGB", (32, 1)).save(tmp_path / "701_StillsRaw_full/0001TP_006690.png")
    Image.new("RGB", (32, 1)).save(tmp_path / "701_StillsRaw_full/0001TP_006720.png")
    Image.fromarray(colours[None]).save(tmp_path / "LabeledApproved_full/0001TP_006690_L.png")
    (tmp_path / "train.txt").write_text("0001TP_006690.png\n")
    images = camvid_original(tmp_path, tmp_path / "train.txt")
    found = {entry[3]: value for entry, value in zip(published, images.mask(0)[0].tolist(), strict=True)}
    expected = {name: position for position, (_, names) in enumerate(MEMBERS) for name in names.split()}
    assert found == expected | {"Void": 11}
    assert images.class_names == CAMVID_CLASSES == tuple(name for name, _ in MEMBERS)
    assert VOID == 11
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

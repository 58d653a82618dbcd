"""Masks written as palette PNGs and read back; the palettes; overlays."""

import numpy as np
import pytest
from PIL import Image

import keras_vision as kv
from keras_vision.data import CAMVID_PALETTE, camvid, read_mask, unpack, voc_palette, write_mask
from keras_vision.data.readers.camvid import CAMVID_CLASSES
from keras_vision.errors import KerasVisionError
from keras_vision.visualization import overlay

VOC = {  # as the challenge's development kit prints them
    0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 5: (128, 0, 128),
    6: (0, 128, 128), 7: (128, 128, 128), 8: (64, 0, 0), 9: (192, 0, 0), 10: (64, 128, 0), 15: (192, 128, 128),
    20: (0, 64, 128), 255: (224, 224, 192),
}  # fmt: skip


def test_vocs_palette_is_the_published_one(shared):
    table = voc_palette()
    assert {index: tuple(table[index].tolist()) for index in VOC} == VOC
    assert len(np.unique(table, axis=0)) == 256
    np.testing.assert_array_equal(voc_palette(21), table[:21])
    with Image.open(shared / "data/voc_samples/SegmentationClass/2011_000003.png") as image:
        np.testing.assert_array_equal(np.reshape(image.getpalette(), (-1, 3))[:21], table[:21])
    with pytest.raises(KerasVisionError, match="a palette of 257 colours"):
        voc_palette(257)


def test_camvids_palette_is_that_of_the_data(shared):
    rows = [line.split("|")[1:4] for line in (shared / "data/camvid/README.md").read_text().splitlines()]
    listed = {r[1].split()[0]: [int(c) for c in r[2].split()] for r in rows if len(r) == 3 and r[0].strip().isdigit()}
    assert list(listed) == [*CAMVID_CLASSES, "Unlabelled"]
    assert CAMVID_PALETTE.tolist() == list(listed.values())
    assert not CAMVID_PALETTE.flags.writeable


@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (300, 200)])
@pytest.mark.parametrize("colours", [1, 2, 3, 12, 17, 256])
def test_what_is_written_is_read(shape, colours, tmp_path):
    labels = np.random.default_rng(0).integers(0, colours, shape)
    write_mask(tmp_path / "mask.png", labels, voc_palette(colours))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), labels)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), voc_palette(colours)[labels])
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]


def test_real_masks_survive(shared, tmp_path):
    unpack(shared / "data/camvid/camvid_val.tar", tmp_path / "val")
    mask = camvid(tmp_path / "val").mask(3)
    write_mask(tmp_path / "mask.png", mask, CAMVID_PALETTE)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), mask)


@pytest.mark.parametrize(
    ("labels", "palette", "message"),
    [
        (np.array([[0, 12]]), CAMVID_PALETTE, "labels 12 at 1 pixels, with 12 colours: 0 to 11; give a longer palette"),
        (np.array([[-1, 0]]), CAMVID_PALETTE, "labels -1 at 1 pixels"),
        (np.array([[0, 255]]), voc_palette(21), "voc_palette.. has all 256, void 255 among them"),
        (np.array([[0.0, 1.0]]), CAMVID_PALETTE, "give one integer per pixel"),
        (np.zeros((2, 2, 3), int), CAMVID_PALETTE, r"labels int64 \(2, 2, 3\)"),
        (np.zeros((2, 2), int), np.zeros((5, 4), np.uint8), r"\(5, 4\) with alpha; masks have none: give palette"),
        (np.zeros((2, 2), int), np.zeros((257, 3), np.uint8), "give 1 to 256 colours"),
        (np.zeros((2, 2), int), np.array([[0.5, 0, 0]]), "give integers 0-255"),
        (np.zeros((2, 2), int), [(0, 0, 256)], "give integers 0-255"),
        (np.zeros((0, 2), int), CAMVID_PALETTE, "give one integer per pixel"),
    ],
)
def test_bad_input_writes_nothing(labels, palette, message, tmp_path):
    with pytest.raises(KerasVisionError, match=message):
        write_mask(tmp_path / "mask.png", labels, palette)
    assert not list(tmp_path.iterdir())


def test_files_are_kept_unless_told(tmp_path):
    write_mask(tmp_path / "mask.png", np.zeros((2, 2), int), CAMVID_PALETTE)
    with pytest.raises(KerasVisionError, match="exists already"):
        write_mask(tmp_path / "mask.png", np.ones((2, 2), int), CAMVID_PALETTE)
    assert not read_mask(tmp_path / "mask.png").any()
    write_mask(tmp_path / "mask.png", np.ones((2, 2), int), CAMVID_PALETTE, overwrite=True)
    assert read_mask(tmp_path / "mask.png").all()


@pytest.mark.parametrize("grey", [False, True])
def test_an_overlay_mixes_colour_and_photograph(grey):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (6, 9) if grey else (6, 9, 3), dtype=np.uint8)
    labels = rng.choice([0, 1, 2, 255], (6, 9))
    drawn = np.asarray(overlay(image, labels, CAMVID_PALETTE, alpha=0.25, void=255))
    for y, x in np.ndindex(6, 9):
        pixel = np.broadcast_to(image[y, x], 3).astype(float)
        colour = pixel if labels[y, x] == 255 else CAMVID_PALETTE[labels[y, x]]
        assert np.abs(drawn[y, x] - (0.75 * pixel + 0.25 * colour)).max() <= 0.5
    same = kv.visualization.overlay(Image.fromarray(image), labels, voc_palette(), alpha=0)
    np.testing.assert_array_equal(np.asarray(same), np.asarray(Image.fromarray(image).convert("RGB")))


def test_overlay_refuses_what_does_not_fit():
    image = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(KerasVisionError, match=r"labels \(5, 4\) for an image of \(4, 5\)"):
        overlay(image, np.zeros((5, 4), int), CAMVID_PALETTE)
    with pytest.raises(KerasVisionError, match="alpha=2"):
        overlay(image, np.zeros((4, 5), int), CAMVID_PALETTE, alpha=2)
    with pytest.raises(KerasVisionError, match="labels 255 at 20 pixels"):
        overlay(image, np.full((4, 5), 255), CAMVID_PALETTE)

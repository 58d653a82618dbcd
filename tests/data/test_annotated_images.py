"""Masks, boxes and their checks where the annotations are plain arrays."""

import numpy as np
import pytest
from PIL import Image

from keras_vision.data import BoxedImages, SegmentedImages
from keras_vision.data.masks import colour_indices, image_size, look_up, read_mask
from keras_vision.errors import ImageError, KerasVisionError

PIXELS = np.zeros((2, 3, 3), np.uint8)


def test_arrays_serve_as_images_and_masks():
    mask = np.array([[0, 1, 9], [1, 1, 0]], np.uint8)
    images = SegmentedImages([PIXELS], [mask], ("sky", "tree"), void=9)
    assert len(images) == 1
    np.testing.assert_array_equal(images.mask(0), mask)
    np.testing.assert_array_equal(images.image(0), PIXELS)
    with pytest.raises(KerasVisionError, match=r"mask 0: labels 9 at 1 pixels; accepted: 2 from 0 to 1"):
        SegmentedImages([PIXELS], [mask], ("sky", "tree"), void=None).mask(0)
    with pytest.raises(KerasVisionError, match=r"mask 0: a mask of \(3, 2\) pixels for an image of \(2, 3\)"):
        SegmentedImages([PIXELS], [mask.T], ("sky", "tree"), void=9).mask(0)


def test_colours_against_a_loop():
    rng = np.random.default_rng(0)
    palette = np.unique(rng.integers(0, 256, (32, 3), dtype=np.uint8), axis=0)
    rng.shuffle(palette)
    numbers = rng.integers(0, len(palette), (13, 17))
    np.testing.assert_array_equal(colour_indices(palette[numbers], palette), numbers)


def test_many_classes_get_a_wider_type():
    numbers = np.array([[0, 299]], np.uint16)
    assert look_up(numbers, np.arange(300)).tolist() == [[0, 299]]
    assert look_up(numbers, np.arange(300)).dtype == np.int32
    with pytest.raises(KerasVisionError, match="labels -1, 300 at 2 pixels"):
        look_up(np.array([[-1, 300]]), np.arange(300))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_upright_image(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / "1.jpg", exif=exif)
    images = SegmentedImages([tmp_path / "1.jpg"], [], ())
    assert image_size(tmp_path / "1.jpg") == images.image(0).shape[:2]


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16"])
def test_masks_keep_their_numbers(tmp_path, mode):
    values = np.array([[0, 1, 1], [1, 0, 0]], np.uint16 if mode == "I;16" else np.uint8)
    if mode == "P":
        image = Image.fromarray(values).convert("P")
        image.putpalette([0, 0, 0, 128, 0, 0])
    else:
        image = Image.fromarray(values * 255).convert("1") if mode == "1" else Image.fromarray(values)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), values)


def test_masks_that_cannot_be_read_are_one_error(tmp_path):
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        read_mask(tmp_path / "none.png")
    noise = np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:1000])
    with pytest.raises(ImageError, match=r"cut\.png: damaged: .*truncated"):
        read_mask(tmp_path / "cut.png")
    with pytest.raises(ImageError, match=r"none\.jpg: not an image"):
        image_size(tmp_path / "none.jpg")


@pytest.mark.parametrize(("boxes", "labels", "message"), [
    ([[0, 0, 1, 1]], [2], r"classes \[2\]; expected 0 to 1"),
    ([[0, 0, 1, 1]], [-1], r"classes \[-1\]"),
    ([[0, 0, 1, 1]], [0, 1], "1 boxes and 2 labels"),
    ([[0, 0, np.inf, 1]], [0], "not finite"),
])  # fmt: skip
def test_boxes_that_do_not_fit_are_one_error(boxes, labels, message):
    images = BoxedImages(["1.jpg"], [(boxes, labels)], ("cat", "dog"), lambda pair: pair)
    with pytest.raises(KerasVisionError, match=rf"1\.jpg: .*{message}"):
        images.boxes(0)

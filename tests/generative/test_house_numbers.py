"""SVHN's whole numbers as images to draw: the box around all digits, wider by 30 %, and crops of it."""

import h5py
import numpy as np
import pytest
from PIL import Image

from keras_vision.data import BoxedImages
from keras_vision.data.house_numbers import house_numbers, whole_number
from keras_vision.errors import KerasVisionError

RAMP = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3))


def boxed(*boxes):
    return BoxedImages([RAMP], [None], tuple("0123456789"), lambda _: (np.array(boxes), np.ones(len(boxes), int)))


def test_a_number_is_the_box_around_its_digits_and_thirty_percent():
    """On a ramp of one level a pixel, columns say where they come from: 40 to 140, 15 pixels more on each side."""
    pixels = whole_number(boxed((40, 30, 90, 70), (80, 20, 140, 60)), 0)
    assert pixels.shape == (64, 64, 3)
    expected = 25 + (np.arange(64) + 0.5) * 130 / 64 - 0.5
    np.testing.assert_allclose(pixels[32, 1:-1, 0], expected[1:-1], atol=1.1)


def test_a_number_at_the_border_ends_with_the_photograph():
    pixels = whole_number(boxed((0, 0, 100, 100)), 0)
    assert pixels[0, 0, 0] <= 1
    assert pixels[0, -1, 0] == pytest.approx(114, abs=2)


def test_numbers_without_digits_or_outside_are_refused():
    images = BoxedImages([RAMP], [None], tuple("0"), lambda _: (np.zeros((0, 4)), np.zeros(0, int)))
    with pytest.raises(KerasVisionError, match="no digits"):
        whole_number(images, 0)
    with pytest.raises(KerasVisionError, match="outside the photograph"):
        whole_number(boxed((300, 20, 320, 60)), 0)


def published(folder, count):
    """Photographs of one digit each, in the layout of the published files."""
    folder.mkdir()
    with h5py.File(folder / "digitStruct.mat", "w") as file:
        cells, struct = file.create_group("#refs#"), file.create_group("digitStruct")
        names, boxes = [np.empty((count, 1), h5py.ref_dtype) for _ in range(2)]
        for i in range(count):
            Image.fromarray(np.full((80, 90, 3), i + 1, np.uint8)).save(folder / f"{i}.png")
            names[i, 0] = cells.create_dataset(f"n{i}", data=np.array([[ord(c)] for c in f"{i}.png"], np.uint16)).ref
            group = cells.create_group(f"b{i}")
            boxes[i, 0] = group.ref
            for key, value in dict(label=3, left=20, top=10, width=30, height=40).items():
                group[key] = np.array([[float(value)]])
        struct.create_dataset("name", data=names, dtype=h5py.ref_dtype)
        struct.create_dataset("bbox", data=boxes, dtype=h5py.ref_dtype)


def test_parts_and_crops(tmp_path):
    for part, count in dict(train=30, extra=25, test=4).items():
        published(tmp_path / part, count)
    (trained, batch), (held_out, second), (tested, test) = house_numbers(tmp_path)
    assert (trained, held_out, tested) == (54, 1, 4)
    rng = np.random.default_rng(0)
    found = batch(np.array([0, 5, 53]), rng)
    assert found.shape == (3, 54, 54, 3)
    assert found[:, 0, 0, 0].tolist() == [1, 6, 25]
    assert second(np.array([0]), rng)[0, 0, 0, 0] == 20  # the 50th: 30 of train, then the 20th of extra
    np.testing.assert_array_equal(test(np.arange(4), rng)[:, 9, 9, 0], [1, 2, 3, 4])

"""SVHN: the two kinds of MATLAB files, written as published."""

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_vision.data import svhn_digits, svhn_numbers
from keras_vision.errors import KerasVisionError


@pytest.fixture
def cropped(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
    savemat(tmp_path / "train_32x32.mat", {"X": pixels, "y": np.array([[1], [10], [9], [2]], np.uint8)})
    return tmp_path, pixels


# Digits of each photograph, with left, top, width and height. The file stores 10 for 0.
NUMBERS = [[(5, (246, 77, 81, 219))], [(1, (3, 4, 5, 6)), (10, (7.5, 8, 9, 10)), (3, (-1, 2, 3, 4))]]


def write_numbers(folder, numbers=NUMBERS, names=("1.png", "2.png")):
    """`digitStruct.mat` as MATLAB writes it: cells of references; a number alone is stored without a reference."""
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.new("RGB", (40, 30)).save(folder / name)
    with h5py.File(folder / "digitStruct.mat", "w") as file:
        cells, struct = file.create_group("#refs#"), file.create_group("digitStruct")
        name_refs, box_refs = [np.empty((len(numbers), 1), h5py.ref_dtype) for _ in range(2)]
        for i, (name, digits) in enumerate(zip(names, numbers, strict=True)):
            name_refs[i, 0] = cells.create_dataset(f"n{i}", data=np.array([[ord(c)] for c in name], np.uint16)).ref
            group = cells.create_group(f"b{i}")
            box_refs[i, 0] = group.ref
            rows = np.array([[digit, *box] for digit, box in digits], float)
            for key, column in zip(("label", "left", "top", "width", "height"), rows.T, strict=True):
                if len(column) == 1:
                    group[key] = column[None]
                else:
                    refs = [cells.create_dataset(f"{i}{key}{k}", data=[[v]]).ref for k, v in enumerate(column)]
                    group.create_dataset(key, data=np.array(refs, h5py.ref_dtype)[:, None], dtype=h5py.ref_dtype)
        struct.create_dataset("name", data=name_refs, dtype=h5py.ref_dtype)
        struct.create_dataset("bbox", data=box_refs, dtype=h5py.ref_dtype)


def test_cropped_digits_and_ten_stands_for_zero(cropped):
    folder, pixels = cropped
    images = svhn_digits(folder)
    assert images.labels.tolist() == [1, 0, 9, 2]
    assert images.class_names == tuple("0123456789")
    for i in range(4):
        np.testing.assert_array_equal(images.sources[i], pixels[:, :, :, i])


@pytest.mark.parametrize(("content", "message"), [
    ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[1], [11]]}, "labels from 1 to 11"),
    ({"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [[0], [1]]}, "labels from 0 to 1"),
    ({"X": np.zeros((32, 32, 3, 3), np.uint8), "y": [[1], [1]]}, r"y \(2,\)"),
    ({"X": np.zeros((32, 32, 3, 2)), "y": [[1], [1]]}, "float64"),
    ({"X": np.zeros((32, 32, 3, 2), np.uint8)}, "expected a variable 'y'"),
])  # fmt: skip
def test_damaged_digits_are_one_error(content, message, tmp_path):
    savemat(tmp_path / "test_32x32.mat", content)
    with pytest.raises(KerasVisionError, match=message):
        svhn_digits(tmp_path, "test")


def test_boxes_of_whole_numbers(tmp_path):
    write_numbers(tmp_path / "train")
    images = svhn_numbers(tmp_path)
    assert [path.name for path in images.sources] == ["1.png", "2.png"]
    for position, digits in enumerate(NUMBERS):
        boxes, labels = images.boxes(position)
        assert labels.tolist() == [digit % 10 for digit, _ in digits]
        expected = [(left, top, left + width, top + height) for _, (left, top, width, height) in digits]
        np.testing.assert_allclose(boxes, expected)


def test_claims_of_numbers_are_one_error(tmp_path):
    (tmp_path / "train").mkdir()
    with h5py.File(tmp_path / "train/digitStruct.mat", "w") as file:
        for name in ("name", "bbox"):
            file.create_dataset(f"digitStruct/{name}", (1 << 30, 1), h5py.ref_dtype, chunks=(1024, 1))
    with pytest.raises(KerasVisionError, match=r"claims \(1073741824, 1\)"):
        svhn_numbers(tmp_path)


def test_damaged_numbers_are_one_error(tmp_path):
    with pytest.raises(KerasVisionError, match="no such folder"):
        svhn_numbers(tmp_path)
    write_numbers(tmp_path / "train", [[(12, (1, 1, 1, 1))]], ["1.png"])
    with pytest.raises(KerasVisionError, match=r"digits.*12"):
        svhn_numbers(tmp_path).boxes(0)
    (tmp_path / "train/1.png").unlink()
    with pytest.raises(KerasVisionError, match=r"1 files that it names are missing: .*1\.png"):
        svhn_numbers(tmp_path)
    content = (tmp_path / "train/digitStruct.mat").read_bytes()
    (tmp_path / "train/digitStruct.mat").write_bytes(content[: len(content) // 2])
    with pytest.raises(KerasVisionError, match="damaged"):
        svhn_numbers(tmp_path)

"""Masks in MATLAB files: PASCAL-Context, SIFT Flow and NYUDv2, each written in its published layout."""

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_vision.data import nyud, pascal_context, sift_flow
from keras_vision.errors import KerasVisionError

SCENES = "spatial_envelope_256x256_static_8outdoorcategories"


def photograph(path, height, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def cells(names):
    values = np.empty((1, len(names)), object)
    values[0, :] = names
    return values


@pytest.fixture
def context(tmp_path):
    """Five labels, three of them kept, one under the other name that the authors' files have."""
    photograph(tmp_path / "VOC2010/JPEGImages/2008_1.jpg", 2, 3)
    (tmp_path / "trainval").mkdir()
    savemat(tmp_path / "trainval/2008_1.mat", {"LabelMap": np.array([[1, 2, 3], [4, 5, 5]], np.uint16)})
    (tmp_path / "labels.txt").write_text("1: accordion\n2: aeroplane\n3: bed clothes\n4: table\n5: sky\n")
    (tmp_path / "59_labels.txt").write_text("1: sky\n2: aeroplane\n3: diningtable\n")
    (tmp_path / "val.txt").write_text("2008_1\n")
    return tmp_path


def test_context_keeps_the_given_classes(context):
    images = pascal_context(context, context / "VOC2010", context / "val.txt", context / "59_labels.txt")
    assert images.class_names == ("sky", "aeroplane", "diningtable")
    assert images.mask(0).tolist() == [[255, 1, 255], [2, 0, 0]]
    images = pascal_context(context, context / "VOC2010", context / "val.txt", ["table", "bedclothes"])
    assert images.mask(0).tolist() == [[255, 255, 1], [0, 255, 255]]


def test_context_that_does_not_fit_is_one_error(context):
    with pytest.raises(KerasVisionError, match=r"labels\.txt: has no unicorn among its 5 labels"):
        pascal_context(context, context / "VOC2010", context / "val.txt", ["sky", "unicorn"])
    images = pascal_context(context, context / "VOC2010", context / "val.txt", ["sky"])
    savemat(images.masks[0], {"LabelMap": np.array([[1, 2, 6], [4, 5, 0]], np.uint16)})
    with pytest.raises(KerasVisionError, match=r"2008_1\.mat: labels 6 at 1 pixels"):
        images.mask(0)
    for wrong in (0.5, 2.0**32 + 5, -(2.0**40), np.inf, np.nan):  # as int32, the second would be the sky
        savemat(images.masks[0], {"LabelMap": np.full((2, 3), wrong)})
        with pytest.raises(KerasVisionError, match="a matrix of whole numbers up to 2147483647, found float64"):
            images.mask(0)


def test_pixels_that_nobody_labelled_are_void(context):
    images = pascal_context(context, context / "VOC2010", context / "val.txt", ["sky"])
    savemat(images.masks[0], {"LabelMap": np.array([[0, 2, 0], [4, 5, 0]], np.uint16)})
    assert images.mask(0).tolist() == [[255, 255, 255], [255, 0, 255]]


@pytest.fixture
def scenes(tmp_path):
    photograph(tmp_path / f"Images/{SCENES}/coast_1.jpg", 2, 2)
    for kind, values, names in (
        ("SemanticLabels", [[0, 1], [2, 3]], ["awning", "balcony", "bird"]),
        ("GeoLabels", [[-1, 1], [2, 3]], ["sky", "vertical", "horizontal"]),
    ):
        (tmp_path / kind / SCENES).mkdir(parents=True)
        contents = {"S": np.array(values, float), "names": cells(names).T}
        savemat(tmp_path / kind / SCENES / "coast_1.mat", contents)
    (tmp_path / "TestSet1.txt").write_text(f"{SCENES}\\coast_1.jpg\r\n")
    (tmp_path / "test.txt").write_text("coast_1\n")
    return tmp_path


@pytest.mark.parametrize("listing", ["TestSet1.txt", "test.txt"])
@pytest.mark.parametrize(("labels", "names"), [
    ("semantic", ("awning", "balcony", "bird")),
    ("geometric", ("sky", "vertical", "horizontal")),
])  # fmt: skip
def test_sift_flow(scenes, listing, labels, names):
    images = sift_flow(scenes, scenes / listing, labels)
    assert images.class_names == names
    assert images.mask(0).tolist() == [[255, 0], [1, 2]]


def test_sift_flow_that_does_not_fit_is_one_error(scenes):
    with pytest.raises(KerasVisionError, match="labels='both'; accepted: 'semantic', 'geometric'"):
        sift_flow(scenes, scenes / "test.txt", "both")
    (scenes / "test.txt").write_text("coast_1\ncoast_2\n")
    with pytest.raises(KerasVisionError, match=r"2 files that it names are missing: .*coast_2\.jpg, .*coast_2\.mat"):
        sift_flow(scenes, scenes / "test.txt")


@pytest.fixture
def rooms(tmp_path):
    """Three photographs of 4 x 5 pixels and five labels; HDF5 has the axes in the reverse of MATLAB's order."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8), rng.integers(0, 6, (3, 4, 5), dtype=np.uint16)
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"], file["labels"] = images.transpose(0, 3, 2, 1), labels.transpose(0, 2, 1)
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[3], [1]], "testNdxs": [[2]]})
    savemat(tmp_path / "classMapping40.mat", {"mapClass": [[2.0, 0, 1, 2, 1]], "className": cells(["wall", "floor"])})
    return tmp_path, images, labels


def test_nyud_photographs_and_mapped_labels(rooms):
    folder, pixels, labels = rooms
    by_label = np.array([255, 1, 255, 0, 1, 0])
    images = nyud(
        folder / "nyu_depth_v2_labeled.mat", folder / "classMapping40.mat", splits=folder / "splits.mat", part="train"
    )
    assert images.class_names == ("wall", "floor")
    for position, number in enumerate((2, 0)):
        np.testing.assert_array_equal(images.image(position), pixels[number])
        np.testing.assert_array_equal(images.mask(position), by_label[labels[number]])
    everything = nyud(folder / "nyu_depth_v2_labeled.mat", [2, 0, 1, 2, 1], ["wall", "floor"])
    assert len(everything) == len(everything.sources[:]) == 3
    np.testing.assert_array_equal(everything.mask(1), by_label[labels[1]])


def test_nyud_that_does_not_fit_is_one_error(rooms):
    folder, *_ = rooms
    file = folder / "nyu_depth_v2_labeled.mat"
    with pytest.raises(KerasVisionError, match="a mapping without names"):
        nyud(file, [1, 2])
    with pytest.raises(KerasVisionError, match="a mapping to 0 to 3 for 2 names"):
        nyud(file, [1, 2, 3], ["wall", "floor"])
    for splits in (folder / "splits.mat", None):
        with pytest.raises(KerasVisionError, match="part='val'; accepted: 'train', 'test'"):
            nyud(file, [1, 2], ["wall", "floor"], splits, "val")
    with pytest.raises(KerasVisionError, match=r"splits=None with part='test'; give both, or neither"):
        nyud(file, [1, 2], ["wall", "floor"], part="test")
    with pytest.raises(KerasVisionError, match=r"with part=None; give both, or neither"):
        nyud(file, [1, 2], ["wall", "floor"], str(folder / "splits.mat"))
    savemat(folder / "splits.mat", {"trainNdxs": [[4]], "testNdxs": [[1.9]]})
    with pytest.raises(KerasVisionError, match=r"photographs \[4\] of train; expected 1 to 3"):
        nyud(file, [1, 2], ["wall", "floor"], folder / "splits.mat", "train")
    with pytest.raises(KerasVisionError, match=r"splits\.mat: expected a matrix of whole numbers"):
        nyud(file, [1, 2], ["wall", "floor"], folder / "splits.mat", "test")
    for wrong in (["a"], [1.9], [1, [2]], [1 << 70], [2.0**32 + 1], [float("nan")], None):
        with pytest.raises(KerasVisionError, match="the mapping: expected"):
            nyud(file, wrong, ["wall", "floor"])
    savemat(folder / "wrong.mat", {"mapClass": [[1.9, 1]], "className": cells(["wall", "floor"])})
    with pytest.raises(KerasVisionError, match=r"wrong\.mat: expected a matrix of whole numbers"):
        nyud(file, folder / "wrong.mat")
    short = nyud(file, [1, 2], ["wall", "floor"])
    with pytest.raises(KerasVisionError, match=r"mask 0: labels .*accepted: 3 from 0 to 2"):
        short.mask(0)
    h5py.File(folder / "other.mat", "w").close()
    with pytest.raises(KerasVisionError, match="expected images, labels"):
        nyud(folder / "other.mat", [1, 2], ["wall", "floor"])
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(KerasVisionError, match="damaged"):
        short.image(2)


def test_hdf5_that_claims_what_it_does_not_hold_is_one_error(tmp_path):
    for name, chunks in (("unwritten.mat", None), ("chunked.mat", (4000, 3, 320, 240))):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("images", (4000, 3, 640, 480), np.uint8, chunks=chunks)
            file.create_dataset("labels", (4000, 640, 480), np.uint16)
        assert (tmp_path / name).stat().st_size < 1 << 20
        with pytest.raises(KerasVisionError, match=r"images claims \(4000, 3, 640, 480\) in 0 bytes"):
            nyud(tmp_path / name, [1], ["wall"])

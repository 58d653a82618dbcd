"""PASCAL VOC and SBD: real photographs with their masks, and small folders in the published layout."""

import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_vision.data import sbd_segmentation, voc_classification, voc_segmentation
from keras_vision.data.readers.voc import VOC_CLASSES, VOC_MASK_CLASSES
from keras_vision.errors import ImageError, KerasVisionError

PRESENT = {  # besides background, from the README of the sample
    "2011_000003": {"bottle", "person", "void"},
    "2011_000006": {"chair", "person", "sofa", "void"},
    "2011_000025": {"bus", "car"},
}


def photograph(path, size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 10, 10)).save(path)


@pytest.fixture
def real(shared, tmp_path):
    """The sample with the lists that a whole VOC folder has."""
    root = tmp_path / "VOC2011"
    for name in ("JPEGImages", "SegmentationClass"):
        shutil.copytree(shared / "data/voc_samples" / name, root / name)
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("\n".join(PRESENT) + "\n")
    return root


@pytest.fixture
def voc(tmp_path):
    """Two photographs for training and one for validation, with palette masks."""
    root = tmp_path / "VOC2012"
    masks, lists = root / "SegmentationClass", root / "ImageSets/Segmentation"
    masks.mkdir(parents=True)
    lists.mkdir(parents=True)
    for number, name in enumerate(("a", "b", "c")):
        photograph(root / f"JPEGImages/{name}.jpg")
        mask = Image.fromarray(np.full((4, 6), number, np.uint8), "L").convert("P")
        mask.save(masks / f"{name}.png")
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n")
    return root


@pytest.fixture
def sbd(tmp_path):
    """`a` and `c` as in VOC, and two photographs of its own."""
    root = tmp_path / "benchmark_RELEASE/dataset"
    (root / "cls").mkdir(parents=True)
    for name in ("a", "c", "x", "y"):
        photograph(root / f"img/{name}.jpg")
        labels = np.full((4, 6), 20, np.uint8)
        gtcls = {"Boundaries": np.zeros((20, 1), object), "Segmentation": labels, "CategoriesPresent": [[20]]}
        savemat(root / f"cls/{name}.mat", {"GTcls": gtcls}, do_compression=True)
    (root / "train.txt").write_text("a\nx\n")
    (root / "val.txt").write_text("c\ny\n")
    return root.parent


def test_classes_of_the_real_masks(real, shared):
    images = voc_segmentation(real)
    published = (shared / "data/voc_samples/class_names.txt").read_text().splitlines()
    spelt = {"_background_": "background", "potted plant": "pottedplant", "tv/monitor": "tvmonitor"}
    assert [spelt.get(name, name) for name in published] == list(images.class_names)
    names = {**dict(enumerate(images.class_names)), images.void: "void"}
    for position, path in enumerate(images.sources):
        mask = images.mask(position)
        assert mask.dtype == np.uint8
        assert mask.shape == images.image(position).shape[:2]
        assert {names[value] for value in np.unique(mask)} == PRESENT[path.stem] | {"background"}


def test_a_colour_of_the_real_palette_stands_for_its_class(real):
    images = voc_segmentation(real)
    mask, colours = images.mask(0), np.asarray(Image.open(images.masks[0]).convert("RGB"))
    assert (colours[mask == VOC_MASK_CLASSES.index("person")] == (192, 128, 128)).all()  # of VOC's development kit
    assert (colours[mask == VOC_MASK_CLASSES.index("bottle")] == (128, 0, 128)).all()


def test_additional_masks_are_those_that_voc_does_not_use(voc, sbd):
    images = voc_segmentation(voc, sbd=sbd)
    assert [path.stem for path in images.sources] == ["a", "b", "x", "y"]
    assert [path.suffix for path in images.masks] == [".png", ".png", ".mat", ".mat"]
    assert [np.unique(images.mask(i)).tolist() for i in range(4)] == [[0], [1], [20], [20]]
    assert len(sbd_segmentation(sbd / "dataset", "val")) == 2
    with pytest.raises(KerasVisionError, match="split='val' with sbd"):
        voc_segmentation(voc, "val", sbd)


def test_classification_lists(tmp_path):
    main = tmp_path / "ImageSets/Main"
    main.mkdir(parents=True)
    for name in ("2008_1", "2008_2"):
        photograph(tmp_path / f"JPEGImages/{name}.jpg")
    for name in VOC_CLASSES:
        second = {"cat": " 1", "dog": " 0"}.get(name, "-1")
        (main / f"{name}_train.txt").write_text(f"2008_1 {' 1' if name == 'dog' else '-1'}\n2008_2 {second}\n")
    images = voc_classification(tmp_path)
    cat, dog = VOC_CLASSES.index("cat"), VOC_CLASSES.index("dog")
    assert np.argwhere(images.labels).tolist() == [[0, dog], [1, cat]]
    assert np.argwhere(images.ignored).tolist() == [[1, dog]]
    (main / "sofa_train.txt").write_text("2008_1 -1\n")
    with pytest.raises(KerasVisionError, match=r"sofa_train\.txt and aeroplane_train\.txt name other"):
        voc_classification(tmp_path)
    (main / "sofa_train.txt").write_text("2008_1 2\n")
    with pytest.raises(KerasVisionError, match="'2008_1 2'; expected"):
        voc_classification(tmp_path)


def test_damaged_masks_are_one_error_on_access(voc, sbd):
    images = voc_segmentation(voc)
    Image.new("L", (6, 5)).save(images.masks[0])
    with pytest.raises(KerasVisionError, match=r"a\.png: a mask of \(5, 6\) pixels for an image of \(4, 6\)"):
        images.mask(0)
    Image.new("L", (6, 4), 21).save(images.masks[0])
    with pytest.raises(KerasVisionError, match=r"a\.png: labels 21 at 24 pixels; accepted: 22 from 0 to 255"):
        images.mask(0)
    Image.new("RGB", (6, 4)).save(images.masks[0])
    with pytest.raises(ImageError, match="a mask of mode RGB"):
        images.mask(0)
    images.masks[0].write_bytes(b"")
    with pytest.raises(ImageError, match="not an image"):
        images.mask(0)
    more = sbd_segmentation(sbd)
    savemat(more.masks[0], {"GTcls": {"Boundaries": 1}})
    with pytest.raises(KerasVisionError, match="expected one structure with 'Segmentation', found fields Boundaries"):
        more.mask(0)


def test_missing_parts_are_one_error(voc, sbd, tmp_path):
    (voc / "JPEGImages/b.jpg").unlink()
    with pytest.raises(KerasVisionError, match=r"train\.txt: 1 files that it names are missing: .*b\.jpg"):
        voc_segmentation(voc)
    with pytest.raises(KerasVisionError, match=r"test\.txt: cannot be read"):
        voc_segmentation(voc, "test")
    with pytest.raises(KerasVisionError, match="holds no dataset/cls and no cls"):
        sbd_segmentation(tmp_path)

"""Validation sets in the layouts they are published in: which image has which class, and what is refused."""

from pathlib import Path

import pytest
from PIL import Image

from keras_vision.data import class_folders, imagenet_validation, tiny_imagenet_validation, validation_images
from keras_vision.errors import KerasVisionError

FIRST, SECOND, THIRD = WNIDS = ("n00000001", "n00000003", "n00000002")  # not sorted
FLAT = [f"ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 2, 3)]


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


@pytest.fixture
def synsets(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("".join(f"{wnid} some, words\n" for wnid in WNIDS))
    return file


@pytest.fixture
def flat(tmp_path):
    for name in FLAT:
        save(tmp_path / "flat" / name)
    return tmp_path / "flat"


@pytest.fixture
def tiny(tmp_path):
    root = tmp_path / "tiny"
    for number in range(3):
        save(root / f"val/images/val_{number}.JPEG")
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    rows = [f"val_{number}.JPEG\t{WNIDS[2 - number]}\t0\t0\t3\t3\n" for number in range(3)]
    (root / "val/val_annotations.txt").write_text("".join(rows))
    return root


def pairs(images):
    """File name to wnid, through label and class name."""
    return {path.name: images.class_names[label] for path, label in zip(images.sources, images.labels, strict=True)}


@pytest.mark.parametrize("content", [
    f"{FLAT[0]} {THIRD}\n{FLAT[2]} {FIRST}\n\n",
    f"{FLAT[0]} 2\n{FLAT[2]} 0\n",
    f"{Path(FLAT[0]).stem} 2\n{Path(FLAT[2]).stem}\t0\n",
])  # fmt: skip
def test_flat_folder_with_a_list(content, flat, synsets, tmp_path):
    (tmp_path / "val.txt").write_text(content)
    images = imagenet_validation(flat, tmp_path / "val.txt", synsets)
    assert images.class_names == WNIDS
    assert pairs(images) == {FLAT[0]: THIRD, FLAT[2]: FIRST}
    assert images.labels.tolist() == [2, 0]


def test_flat_folder_with_kaggles_table(flat, synsets, tmp_path):
    table = tmp_path / "LOC_val_solution.csv"
    lines = [
        "ImageId,PredictionString",
        f"{Path(FLAT[2]).stem},{SECOND} 1 2 3 4 {SECOND} 5 6 7 8 ",
        f"{FLAT[0]},{FIRST} 1 2 3 4",
    ]
    table.write_text("\n".join(lines))
    images = validation_images(flat, table, synsets)
    assert pairs(images) == {FLAT[2]: SECOND, FLAT[0]: FIRST}


def test_class_indices_need_no_synsets(flat, tmp_path):
    (tmp_path / "val.txt").write_text(f"{FLAT[0]} 65\n{FLAT[1]} 999\n")
    images = imagenet_validation(flat, tmp_path / "val.txt")
    assert images.labels.tolist() == [65, 999]
    assert len(images.class_names) == 1000


@pytest.mark.parametrize("name", ["{}/1.JPEG", "{}/deeper/1.JPEG", "{}_a name_with 'signs.JPEG"])
def test_folders_and_files_by_wnid(name, synsets, tmp_path):
    for wnid in (SECOND, THIRD):
        save(tmp_path / "val" / name.format(wnid))
    (tmp_path / "val/README.md").write_text("about")
    for images in (
        imagenet_validation(tmp_path / "val", synsets=synsets),
        validation_images(tmp_path / "val", None, synsets),
    ):
        assert images.class_names == WNIDS
        assert images.labels.tolist() == [2, 1]  # files are sorted, and THIRD sorts before SECOND


def test_all_1000_wnids_need_no_synsets(tmp_path):
    for number in range(1000):
        (tmp_path / f"n{number:08d}").mkdir()
        (tmp_path / f"n{number:08d}" / "1.JPEG").touch()
    images = validation_images(tmp_path)
    assert images.labels.tolist() == list(range(1000))
    assert images.class_names[7] == "n00000007"


def test_tiny_imagenet_takes_the_order_of_wnids_txt(tiny):
    for images in (tiny_imagenet_validation(tiny), validation_images(tiny)):
        assert images.class_names == WNIDS
        assert images.labels.tolist() == [2, 1, 0]
        assert [path.name for path in images.sources] == ["val_0.JPEG", "val_1.JPEG", "val_2.JPEG"]


def test_a_folder_per_class(tmp_path):
    for name in ("cat/1.png", "cat/broken.png", "ant/2.png", "empty/3.txt"):
        save(tmp_path / name) if name.endswith("png") else (tmp_path / "empty").mkdir()
    for images in (class_folders(tmp_path), validation_images(tmp_path)):
        assert images.class_names == ("ant", "cat", "empty")
        assert pairs(images) == {"1.png": "cat", "broken.png": "cat", "2.png": "ant"}


def test_the_shared_sample(shared):
    synsets = shared / "data/imagenet_labels/synset_words.txt"
    images = validation_images(shared / "data/imagenet_sample", None, synsets)
    assert images.labels.tolist() == list(range(0, 1000, 2))
    assert len(images.class_names) == 1000


def _edit(file, old, new):
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize(("change", "message"), [
    (lambda tiny: (tiny / "wnids.txt").unlink(), r"wnids.txt: cannot be read"),
    (lambda tiny: (tiny / "val/val_annotations.txt").unlink(), r"val_annotations.txt: cannot be read"),
    (lambda tiny: (tiny / "val/images/val_1.JPEG").unlink(), r"val_1.JPEG and 0 more images .* are missing"),
    (lambda tiny: _edit(tiny / "wnids.txt", SECOND, "n99999999"), r"images of 'n00000003' and 0 more classes"),
    (lambda tiny: _edit(tiny / "val/val_annotations.txt", "\t", " "), r"expected a file and a wnid, with a tab"),
    (lambda tiny: (tiny / "val/val_annotations.txt").write_text("\n"), r"tiny: no images"),
])  # fmt: skip
def test_damaged_tiny_imagenet_is_one_clear_error(change, message, tiny):
    change(tiny)
    with pytest.raises(KerasVisionError, match=message):
        tiny_imagenet_validation(tiny)


@pytest.mark.parametrize(("content", "message"), [
    ("490\n361\n", r"'490' is no pair of file name and class. The devkit's list of bare numbers will not do"),
    (f"other.JPEG {FIRST}\n", r"names other.JPEG, which is not in"),
    (f"{FLAT[0]} n12345678\n", r"images of 'n12345678' and 0 more classes that are not among the 3 known"),
    (f"{FLAT[0]} 3\n", r"class '3'; expected an index from 0 to 2"),
    (f"{FLAT[0]} 2\n{FLAT[1]} {FIRST}\n", r"class 'n00000001'; expected an index"),
    ("", r"flat: no images"),
])  # fmt: skip
def test_lists_that_do_not_fit(content, message, flat, synsets, tmp_path):
    (tmp_path / "val.txt").write_text(content)
    with pytest.raises(KerasVisionError, match=message):
        imagenet_validation(flat, tmp_path / "val.txt", synsets)


def test_folders_that_do_not_fit(flat, synsets, tmp_path):
    with pytest.raises(KerasVisionError, match="none: no such folder"):
        validation_images(tmp_path / "none")
    with pytest.raises(KerasVisionError, match=r"none.txt: cannot be read"):
        imagenet_validation(flat, synsets=tmp_path / "none.txt")
    with pytest.raises(
        KerasVisionError, match=r"ILSVRC2012_val_00000001.JPEG and 2 more images do not say their class"
    ):
        imagenet_validation(flat, synsets=synsets)
    with pytest.raises(KerasVisionError, match="0 subfolders"):
        validation_images(flat)
    (tmp_path / "empty").mkdir()
    with pytest.raises(KerasVisionError, match="empty: no images"):
        imagenet_validation(tmp_path / "empty", synsets=synsets)
    save(tmp_path / "few" / f"{FIRST}_1.JPEG")
    with pytest.raises(KerasVisionError, match=r"images of 1 classes, not 1000.*give synset_words.txt"):
        validation_images(tmp_path / "few")
    save(tmp_path / "few" / "n99999999_1.JPEG")
    with pytest.raises(KerasVisionError, match="'n99999999' and 0 more classes"):
        validation_images(tmp_path / "few", None, synsets)

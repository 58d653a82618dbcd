"""Training folders of ImageNet and Tiny ImageNet, and folders whose parts are given by lists."""

import os

import numpy as np
import pytest

from keras_vision.cli.loading import read_labels
from keras_vision.data import (
    check_same_classes,
    class_folders,
    imagenet_train,
    listed_images,
    tiny_imagenet_train,
    tiny_imagenet_validation,
)
from keras_vision.errors import KerasVisionError

WNIDS = ("n00000003", "n00000001", "n00000002")  # not sorted


def touch(path):
    """Listing decodes nothing, so an empty file does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "wnids.txt").write_text("\n".join(WNIDS))
    for label, wnid in enumerate(WNIDS):
        for number in range(label + 1):
            touch(tmp_path / f"train/{wnid}/images/{wnid}_{number}.JPEG")
        (tmp_path / f"train/{wnid}/{wnid}_boxes.txt").touch()
    touch(tmp_path / "val/images/val_0.JPEG")
    (tmp_path / "val/val_annotations.txt").write_text(f"val_0.JPEG\t{WNIDS[2]}\t0\t0\t3\t3\n")
    return tmp_path


def test_tiny_imagenet_in_the_order_of_its_list(tiny):
    images = tiny_imagenet_train(tiny)
    assert images.class_names == WNIDS
    assert np.bincount(images.labels).tolist() == [1, 2, 3]
    assert all(WNIDS[label] in path.name for path, label in zip(images.sources, images.labels, strict=True))
    check_same_classes(images, tiny_imagenet_validation(tiny))


def test_imagenet_in_sorted_order_or_that_of_the_synsets(tmp_path):
    for wnid in WNIDS:
        touch(tmp_path / f"train/{wnid}/{wnid}_1.JPEG")
    assert imagenet_train(tmp_path / "train").class_names == tuple(sorted(WNIDS))
    (tmp_path / "words.txt").write_text("".join(f"{wnid} some, words\n" for wnid in WNIDS))
    images = imagenet_train(tmp_path / "train", tmp_path / "words.txt")
    assert images.class_names == WNIDS
    assert [path.parent.name for path in images.sources] == list(WNIDS)


def test_classes_that_do_not_fit_are_one_error(tiny, tmp_path):
    for file in (tiny / f"train/{WNIDS[1]}/images").iterdir():
        file.unlink()
    with pytest.raises(KerasVisionError, match="no images"):
        tiny_imagenet_train(tiny)
    (tiny / "wnids.txt").write_text("\n".join([*WNIDS[:2], "n00000009"]))
    with pytest.raises(
        KerasVisionError, match=r"without a subfolder: \['n00000009'\], without a class: \['n00000002'\]"
    ):
        tiny_imagenet_train(tiny)
    with pytest.raises(KerasVisionError, match="no such folder"):
        imagenet_train(tmp_path / "nowhere")


@pytest.fixture
def listed(tmp_path):
    for name in ("ant/1.jpg", "ant/ä ö.jpg", "蜂/1.jpg", "flat.jpg"):
        touch(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(("lines", "names", "labels"), [
    (["ant/1.jpg", "ant/ä ö.jpg", "蜂/1.jpg"], ("ant", "蜂"), [0, 0, 1]),
    (["ant/1.jpg 蜂", "ant/ä ö.jpg\tant", "flat.jpg, ant"], ("ant", "蜂"), [1, 0, 0]),
    (["ant/1.jpg 2", "ant/ä ö.jpg 0"], ("0", "1", "2"), [2, 0]),
    (["蜂/1.jpg", "", "ant/1.jpg"], ("ant", "蜂"), [1, 0]),
])  # fmt: skip
def test_lists_with_and_without_classes(listed, lines, names, labels):
    (listed / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    images = listed_images(listed, listed / "train.txt")
    assert images.class_names == names
    assert images.labels.tolist() == labels
    assert all(path.is_file() for path in images.sources)


def test_given_classes_set_the_order_and_the_range(listed):
    (listed / "val.txt").write_text("ant/1.jpg\n")
    images = listed_images(listed, listed / "val.txt", ["bee", "ant"])
    assert images.labels.tolist() == [1]
    (listed / "val.txt").write_text("ant/1.jpg 2\n")
    with pytest.raises(KerasVisionError, match="class 2; expected 0 to 1"):
        listed_images(listed, listed / "val.txt", ["bee", "ant"])
    (listed / "val.txt").write_text("ant/1.jpg wasp\n")
    with pytest.raises(KerasVisionError, match=r"\['wasp'\] and 1 in all are not among the 2"):
        listed_images(listed, listed / "val.txt", ["bee", "ant"])


@pytest.mark.parametrize(("values", "names", "labels"), [
    (["1", "3"], ["1", "2", "3"], [0, 2]),  # names, whichever of them occur
    (["1", "2"], ["1", "2", "3"], [0, 1]),
    (["0", "2"], ["1", "2", "3"], r"\['0'\] and 1 in all are not among the 3"),
    (["0", "2"], ["2", "1", "0"], [2, 0]),
    (["0", "2"], ["0", "1", "2"], [0, 2]),  # the same, as names and as indices
    (["0", "2"], ["ant", "bee", "2"], [0, 2]),
    (["0", "1"], ["ant", "2", "bee"], r"\['0', '1'\] and 2 in all"),
    (["0", "bee"], ["ant", "bee"], r"\['0'\] and 1 in all"),
    (["0", "00001"], ["ant", "bee"], [0, 1]),
    (["1", "2"], None, [1, 2]),
])  # fmt: skip
def test_numbers_are_names_or_indices_by_the_classes_alone(listed, values, names, labels):
    (listed / "part.txt").write_text("\n".join(f"ant/1.jpg {value}" for value in values))
    if isinstance(labels, str):
        with pytest.raises(KerasVisionError, match=labels):
            listed_images(listed, listed / "part.txt", names)
    else:
        assert listed_images(listed, listed / "part.txt", names).labels.tolist() == labels


def test_folders_with_numbers_for_names_are_names(listed):
    for name in ("7/1.jpg", "10/1.jpg"):
        touch(listed / name)
    (listed / "part.txt").write_text("7/1.jpg\n10/1.jpg\n")
    images = listed_images(listed, listed / "part.txt")
    assert images.class_names == ("10", "7")
    assert images.labels.tolist() == [1, 0]
    assert listed_images(listed, listed / "part.txt", ["0", "7", "10"]).labels.tolist() == [1, 2]
    with pytest.raises(KerasVisionError, match=r"\['7'\] and 1 in all"):
        listed_images(listed, listed / "part.txt", [str(n) for n in range(6)] + ["10"])


@pytest.mark.parametrize("letter", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_line_feeds_end_lines(listed, letter, end):
    touch(listed / f"蜂/a{letter}b.jpg")
    (listed / "part.txt").write_bytes(end.join([f"蜂/a{letter}b.jpg", "", "ant/1.jpg", ""]).encode())
    images = listed_images(listed, listed / "part.txt")
    assert [path.name for path in images.sources] == [f"a{letter}b.jpg", "1.jpg"]
    assert read_labels(listed / "part.txt") == [f"蜂/a{letter}b.jpg", "", "ant/1.jpg"]


@pytest.mark.parametrize(("lines", "message"), [
    ([], "names no images"),
    (["/ant/1.jpg"], r"'/ant/1\.jpg'; expected paths relative to"),
    (["ant/1.jpg", "../ant/1.jpg 1"], r"'\.\./ant/1\.jpg 1'; expected paths relative to"),
    (["ant/../ant/1.jpg"], "expected paths relative to"),
    (["flat.jpg"], "neither a class after it nor a folder"),
    (["ant/1.jpg", *(f"ant/{n}.jpg" for n in "abcde")], "5 files .* missing: .*a.jpg, .*c.jpg and 2 more"),
    (["ant/1.jpg 1", "flat.jpg 1", "ant/no.jpg 1"], "1 files that it names are missing: .*no.jpg"),
    (["ant/1.jpg 1", "flat.jpg 1", "蜂/1.jpg"], "'蜂/1.jpg' has no class"),
])  # fmt: skip
def test_lists_that_do_not_fit_are_one_error(listed, lines, message):
    (listed / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(KerasVisionError, match=message):
        listed_images(listed, listed / "train.txt")


def test_classes_that_differ_between_parts_are_one_error(tmp_path):
    for name in ("train/ant", "train/bee", "val/ant", "val/wasp"):
        touch(tmp_path / name / "1.jpg")
    train, val = class_folders(tmp_path / "train"), class_folders(tmp_path / "val")
    check_same_classes(train, train)
    with pytest.raises(KerasVisionError, match=r"only in the first \['bee'\], only in the other \['wasp'\]"):
        check_same_classes(train, val)


def test_a_loop_of_links_ends(tmp_path):
    for name in ("ant", "bee"):
        touch(tmp_path / name / "1.jpg")
        os.symlink(tmp_path, tmp_path / name / "loop")
    os.symlink(tmp_path / "self", tmp_path / "self")
    assert len(class_folders(tmp_path)) == 2

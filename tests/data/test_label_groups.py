"""Labels that exclude each other, splits that keep rare labels, and collages of digits."""

import numpy as np
import pytest

from keras_vision.data import LabelGroups, MultiLabelImages, digit_collages, label_table, split_multi_label
from keras_vision.errors import KerasVisionError

WEATHER = ("clear", "cloudy", "haze", "partly_cloudy")
GROUPS = LabelGroups(("water", "clear", "haze", "road"), [("haze", "clear")])


def test_columns_in_the_order_of_the_names():
    assert GROUPS.positions == ((2, 1),)
    assert GROUPS.exclusive == (("haze", "clear"),)
    assert len(GROUPS) == 4
    assert LabelGroups(["a"]).positions == ()


@pytest.mark.parametrize(("names", "exclusive", "message"), [
    (("a", "b", "c"), [("a", "b"), ("b", "c")], "'b' is in the exclusive groups twice"),
    (("a", "b", "c"), [("a", "a")], "'a' is in the exclusive groups twice"),
    (("a", "b"), [("a", "z")], "'z' of an exclusive group is no label; known: a, b"),
    (("a", "b"), [("a",)], "at least two"),
    (("a", "a"), [], "'a' is given twice"),
    ((), [], "no labels"),
    ("ab", [], "give a list of names"),
    (("a", "b"), ["ab"], "list of lists"),
])  # fmt: skip
def test_groups_that_make_no_sense_are_errors(names, exclusive, message):
    with pytest.raises(KerasVisionError, match=message):
        LabelGroups(names, exclusive)


def test_images_of_none_or_several_of_a_group_are_named():
    labels = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0]])
    assert GROUPS.fits(labels).tolist() == [True, False, False]
    with pytest.raises(KerasVisionError, match=r"2 of 3 images .* haze, clear: b has none; c has haze and clear"):
        GROUPS.check(labels, ["a", "b", "c"])
    checked = GROUPS.check(labels[:1].astype(float))
    assert checked.dtype == np.uint8
    assert checked.tolist() == [[1, 1, 0, 0]]
    assert LabelGroups(GROUPS.names).fits(labels).all()


@pytest.mark.parametrize(("labels", "message"), [
    (np.zeros((2, 3)), r"\(2, 3\); expected \(n, 4\)"),
    (np.full((2, 4), 2), "0 or 1"),
    (np.full((2, 4), np.nan), "0 or 1"),
    (np.zeros((0, 4)), "no images"),
])  # fmt: skip
def test_labels_of_other_shapes_and_values_are_errors(labels, message):
    with pytest.raises(KerasVisionError, match=message):
        GROUPS.check(labels)


def test_the_real_table_of_the_amazon_has_one_row_without_weather(shared):
    folder = shared / "data/planet_sample"
    rows = [line.split(",") for line in (folder / "train_v2.csv").read_text().splitlines()[1:]]
    names = sorted({label for _, tags in rows for label in tags.split()})
    labels = np.array([[name in tags.split() for name in names] for _, tags in rows])
    groups = LabelGroups(names, [WEATHER])
    assert [rows[i][0] for i in np.flatnonzero(~groups.fits(labels))] == ["train_24448"]
    five = label_table(folder, folder / "train_v2.csv", missing="skip")
    assert groups.check(five.labels, five.sources).shape == (5, 17)


def test_a_split_keeps_the_shares_of_rare_labels():
    rng = np.random.default_rng(0)
    labels = (rng.random((1000, 4)) < (0.9, 0.3, 0.02, 0.012)).astype(np.uint8)
    images = MultiLabelImages([str(i) for i in range(1000)], labels, tuple("abcd"))
    rest, held = split_multi_label(images, 0.25, seed=3)
    assert len(held) == 250
    assert sorted([*rest.sources, *held.sources], key=int) == images.sources
    np.testing.assert_array_equal(held.labels, labels[[int(s) for s in held.sources]])
    assert np.abs(held.labels.sum(0)[2:] - labels.sum(0)[2:] / 4).max() <= 1.5
    assert split_multi_label(images, 0.25, seed=3)[1].sources == held.sources
    assert split_multi_label(images, 0.25, seed=4)[1].sources != held.sources


def test_a_label_of_one_image_does_not_end_a_split():
    labels = np.zeros((20, 3), np.uint8)
    labels[:, 0], labels[4, 1] = 1, 1
    rest, held = split_multi_label(MultiLabelImages(list(range(20)), labels, tuple("abc")), 0.2)
    assert (len(rest), len(held)) == (16, 4)
    with pytest.raises(KerasVisionError, match="too few"):
        split_multi_label(MultiLabelImages([0], labels[:1], tuple("abc")), 0.2)
    with pytest.raises(KerasVisionError, match="no images to split"):
        split_multi_label(MultiLabelImages([], labels[:0], tuple("abc")), 0.2)


def test_collages_have_one_ground_and_show_it():
    images = digit_collages(200, size=32, seed=5)
    groups = LabelGroups(images.class_names, [("dark", "light", "striped", "noisy")])
    groups.check(images.labels)
    assert images.labels[:, :10].any(1).all()
    assert images.labels[:, :10].mean() == pytest.approx(0.235, abs=0.04)  # 1 - 0.9^(4 * 0.65) of each
    corners = np.array([source[:, -1, 0].std() for source in images.sources])  # noise varies along any column
    assert np.median(corners[images.labels[:, 13] == 1]) > 30
    again = digit_collages(200, size=32, seed=5)
    assert all((a == b).all() for a, b in zip(images.sources, again.sources, strict=True))
    other = digit_collages(200, "test", size=32, seed=5)
    assert not any((a == b).all() for a, b in zip(images.sources, other.sources, strict=True))
    with pytest.raises(KerasVisionError, match="part='all'"):
        digit_collages(1, "all")
    with pytest.raises(KerasVisionError, match="size=8"):
        digit_collages(1, size=8)

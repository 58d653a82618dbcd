"""COCO: sentences, boxes and masks; run lengths and polygons against what the COCO API made of the same masks."""

import json
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from keras_vision.data import coco_boxes, coco_captions, coco_masks
from keras_vision.data.run_lengths import polygons_mask, run_length_mask
from keras_vision.errors import KerasVisionError

# Made once with pycocotools 2.0: an ellipse with two percent of the pixels flipped by numpy's generator 0.
PACKED = (
    "R21o10I0[N0S10]O0X70YH0k01RO3e05DGO;92N2O0MAEa0<DD5<HD;;6OJFG:4F1:4FG:?00000@F;:500000CF51E6c0O]OMa090D_O:=FE=2C"
    "50G<6D1?62NDE72D10Me07_1Il10_N0_20fL0gN"
)
COLUMNS = [
    0, 0, 1, 0, 1, 0, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 7, 10, 13, 14, 16, 16, 19, 17, 17, 20, 19, 19, 19, 20, 20,
    20, 19, 20, 20, 20, 20, 20, 19, 19, 17, 16, 15, 14, 13, 8, 8, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1,
]  # fmt: skip
POLYGON = [10.5, 5.2, 50.3, 8.7, 45.1, 35.9, 20.4, 30.0]
POLYGON_PACKED = "m=2V13M2O2M2N3M3M2N3M2N00001O01O0001O0000001O00000010O000001O0000001O00N2K6J5K5J]<"


def test_packed_run_lengths_as_the_coco_api():
    mask = run_length_mask(PACKED, 31, 64)
    assert mask.shape == (31, 64)
    assert mask.sum(0).tolist() == COLUMNS
    # The flips are seen as single pixels; the ellipse is known exactly.
    y, x = np.mgrid[:31, :64]
    ellipse = (y - 15.5) ** 2 / (31 / 3) ** 2 + (x - 32) ** 2 / 16**2 < 1
    assert (mask != ellipse).mean() == pytest.approx(0.02, abs=0.01)


def test_plain_run_lengths_go_down_the_columns():
    assert run_length_mask([1, 2, 3], 3, 2).astype(int).tolist() == [[0, 0], [1, 0], [1, 0]]
    assert run_length_mask("123", 3, 2).tolist() == run_length_mask([1, 2, 3], 3, 2).tolist()
    assert run_length_mask([0, 6], 3, 2).all()


@pytest.mark.parametrize(
    "counts", ["R2", "", "1\x7f", "P", "PPPPPPPPPPPPPPPP", [1, 2], [7, -1], [1, "x"], [1 << 62] * 4, 5]
)
def test_damaged_run_lengths_are_one_error(counts):
    with pytest.raises(KerasVisionError, match="run lengths"):
        run_length_mask(counts, 3, 2)


def test_polygons_nearly_as_the_coco_api():
    ours, theirs = polygons_mask([POLYGON], 40, 60), run_length_mask(POLYGON_PACKED, 40, 60)
    assert theirs.sum() == 825
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.97
    assert polygons_mask([[0, 0, 4, 0, 4, 3, 0, 3]], 3, 4).all()
    assert polygons_mask([[-1e30, -1e30, 1e30, -1e30, 1e30, 1e30, -1e30, 1e30]], 3, 4).all()


def crossings(x, y, points):
    """Number of edges that a ray from (x, y) to the right leaves through, as in a textbook."""
    count = 0
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (x1 - x0) * (y - y0) / (y1 - y0):
            count += 1
    return count


def area(points):
    """Of a polygon that does not cross itself (the shoelace formula)."""
    following = [*points[1:], points[0]]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, following, strict=True))) / 2


def test_polygons_are_the_pixels_whose_centres_are_inside():
    rng = np.random.default_rng(0)
    ours = exact = 0
    for _ in range(300):
        corners = int(rng.integers(3, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radii = rng.uniform(3, 10, corners)
        points = np.stack([12 + radii * np.cos(angles), 11 + radii * np.sin(angles)], 1)
        star = rng.permutation(points)  # crosses itself
        for polygon in (points, star):
            expected = [[crossings(x + 0.5, y + 0.5, polygon.tolist()) % 2 for x in range(24)] for y in range(22)]
            mask = polygons_mask([polygon.ravel().tolist()], 22, 24)
            np.testing.assert_array_equal(mask, expected)
        ours, exact = ours + polygons_mask([points.ravel().tolist()], 22, 24).sum(), exact + area(points.tolist())
    assert ours / exact == pytest.approx(1, abs=0.005)


def test_polygons_that_leave_the_image_and_neighbours_that_share_an_edge():
    square = [-3.5, -2, 2, -2, 2, 9, -3.5, 9]
    neighbour = [2, -2, 20, -2, 20, 9, 2, 9]
    first, second = (polygons_mask([polygon], 5, 6) for polygon in (square, neighbour))
    assert first.tolist() == [[True] * 2 + [False] * 4] * 5
    assert (first ^ second).all()
    middle = [0.5, 0.5, 3.5, 0.5, 3.5, 3.5, 0.5, 3.5]  # through centres: those of one side of two belong to it
    assert polygons_mask([middle], 5, 6).sum() == 9
    assert polygons_mask([square, neighbour], 5, 6).all()


@pytest.mark.parametrize("polygon", [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, float("nan")], [[1, 2]]])
def test_damaged_polygons_are_one_error(polygon):
    with pytest.raises(KerasVisionError, match="a polygon of"):
        polygons_mask([polygon], 9, 9)


@pytest.fixture
def document(tmp_path):
    """Two photographs; ids of categories have a gap, as COCO's do."""
    (tmp_path / "val2017").mkdir()
    images = [{"id": n, "file_name": f"{n:012}.jpg", "height": 6, "width": 8} for n in (7, 3)]
    for image in images:
        Image.new("RGB", (8, 6)).save(tmp_path / "val2017" / image["file_name"])
    square = [[2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0]]
    objects = [
        {"id": 2, "image_id": 7, "category_id": 90, "bbox": [3, 2, 1, 1], "iscrowd": 0,
         "segmentation": [[3, 2, 4, 2, 4, 3, 3, 3]]},
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": [2.0, 1.0, 4.0, 4.0], "iscrowd": 0, "segmentation": square},
        {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 6], "iscrowd": 1,
         "segmentation": {"size": [6, 8], "counts": [0, 6, 42]}},
    ]  # fmt: skip
    categories = [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}]
    return tmp_path, {"images": images, "annotations": objects, "categories": categories}


def write(folder, document):
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder / "val2017", folder / "annotations.json"


def test_boxes_without_and_with_crowds(document):
    images = coco_boxes(*write(*document))
    assert [path.name for path in images.sources] == ["000000000007.jpg", "000000000003.jpg"]
    assert images.class_names == ("person", "toothbrush")
    boxes, labels = images.boxes(0)
    assert boxes.tolist() == [[3, 2, 4, 3], [2, 1, 6, 5]]
    assert labels.tolist() == [1, 0]
    assert [part.shape for part in images.boxes(1)] == [(0, 4), (0,)]
    assert len(coco_boxes(*write(*document), crowds=True).boxes(0)[1]) == 3


def test_masks_show_the_smaller_object_and_leave_crowds_out(document):
    images = coco_masks(*write(*document))
    assert images.class_names == ("background", "person", "toothbrush")
    expected = np.zeros((6, 8), int)
    expected[1:5, 2:6], expected[2, 3], expected[:, 0] = 1, 2, 255
    mask = images.mask(0)
    np.testing.assert_array_equal(mask, expected)
    assert not images.mask(1).any()


def test_captions(document):
    folder, content = document
    sentences = [{"image_id": 7, "caption": f" Sentence {n}.\n"} for n in range(5)]
    images = coco_captions(*write(folder, {**content, "annotations": sentences}))
    assert images.captions == (tuple(f"Sentence {n}." for n in range(5)),)
    assert [(path.rpartition("/")[2], why) for path, why in images.skipped] == [("000000000003.jpg", "no caption")]


@pytest.mark.parametrize(("change", "message"), [
    ({"categories": []}, "0 categories"),
    ({"categories": [{"id": 1, "name": "person"}]}, "category 90 is not among its 1"),
    ({"images": {}}, "expected lists of images"),
    ({"images": [{"id": 1}]}, "expected id, file_name, height, width in each record"),
    ({"images": [{"id": 1, "file_name": "x.jpg", "height": 1, "width": 1}]}, "1 files .* missing: .*x.jpg"),
    ({"annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3]}]}, "expected x, y, width, height"),
    ({"annotations": [{"image_id": 7, "category_id": 1, "bbox": [1, 2, -3, 1]}]}, "expected x, y, width, height"),
])  # fmt: skip
def test_annotations_that_do_not_fit_are_one_error(document, change, message):
    folder, content = document
    with pytest.raises(KerasVisionError, match=message):
        coco_boxes(*write(folder, {**content, **change}))


def test_damaged_files_and_claimed_sizes_are_one_error(document):
    folder, content = document
    images, annotations = write(folder, content)
    annotations.write_bytes(annotations.read_bytes()[:-20])
    with pytest.raises(KerasVisionError, match="damaged, or no JSON"):
        coco_boxes(images, annotations)
    annotations.write_text("[" * 100_000)
    with pytest.raises(KerasVisionError, match="damaged, or no JSON"):
        coco_captions(images, annotations)
    content["images"][0] |= {"height": 1 << 20, "width": 1 << 20}
    with pytest.raises(KerasVisionError, match=r"of \(6, 8\) .*, and of 1048576 x 1048576 pixels by its annotation"):
        coco_masks(*write(folder, content)).mask(0)
    content["images"][0] |= {"height": 6, "width": 8}
    content["annotations"][2]["segmentation"]["size"] = [6, 9]
    with pytest.raises(KerasVisionError, match="no run lengths of 6 x 8"):
        coco_masks(*write(folder, content)).mask(0)


def test_a_claimed_size_and_many_objects_take_no_memory(document):
    folder, content = document
    square = {**content["annotations"][1], "segmentation": [[0, 0, 2000, 0, 2000, 1000, 0, 1000]]}
    content["annotations"] = [square] * 40
    content["images"][0] |= {"height": 1000, "width": 2000}
    images = coco_masks(*write(folder, content))
    tracemalloc.start()
    with pytest.raises(KerasVisionError, match="1000 x 2000 pixels by its annotation"):
        images.mask(0)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    Image.new("L", (2000, 1000)).save(images.sources[0])
    assert (images.mask(0) == 1).all()
    assert tracemalloc.get_traced_memory()[1] < 60 << 20  # the masks of all objects have 80 MB; labels in 64 bits 16
    tracemalloc.stop()


@pytest.mark.parametrize("size", ["5", "null", '"68"', "[6]", "[6, null]", "1e400"])
def test_damaged_sizes_are_one_error(document, size):
    folder, content = document
    content["annotations"][2]["segmentation"]["size"] = "here"
    images, annotations = write(folder, content)
    annotations.write_text(annotations.read_text().replace('"here"', size))
    with pytest.raises(KerasVisionError, match="no run lengths of 6 x 8"):
        coco_masks(images, annotations).mask(0)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "1" + "0" * 400, "1" + "0" * 5000])
@pytest.mark.parametrize("where", ["bbox", "segmentation", "counts", "height", "image_id"])
def test_numbers_that_are_none_are_one_error(document, number, where):
    folder, content = document
    item = content["annotations"][1]
    if where == "height":
        content["images"][0]["height"] = "here"
    elif where == "counts":
        content["annotations"][2]["segmentation"]["counts"] = [0, 6, "here"]
    else:
        item[where] = {"bbox": [1, 2, "here", 4], "segmentation": [[0, 0, "here", 0, 3, 3]], "image_id": "here"}[where]
    images, annotations = write(folder, content)
    annotations.write_text(annotations.read_text().replace('"here"', number))
    if where == "image_id" and len(number) == 401:
        assert len(coco_boxes(images, annotations).boxes(0)[1]) == 1  # of no photograph here
        return
    with pytest.raises(KerasVisionError):
        (coco_boxes if where == "bbox" else coco_masks)(images, annotations).mask(0)

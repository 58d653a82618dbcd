"""The widget *Image Segmentation* against a network computed apart, and on labelled photographs of CamVid."""

from pathlib import Path

import numpy as np
import pytest
from dense_networks import dense_network, expected_probabilities
from Orange.data import Domain, StringVariable, Table
from Orange.widgets.tests import base
from PIL import Image

from keras_vision.data import camvid, read_mask, unpack
from keras_vision.data.readers.camvid import CAMVID_CLASSES
from keras_vision.export import to_litert
from keras_vision.orange.segmentation import OWImageSegmentation, Segmentation, mask_places, segment_table

CAMVID = Path(__file__).parents[2] / "savedmodels" / "fcn-8s-camvid" / "model.tflite"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network of four classes, and its LiteRT file."""
    model = dense_network(maps=4)
    path = tmp_path_factory.mktemp("network") / "classes.tflite"
    to_litert(model, path)
    return model, path


@pytest.fixture(scope="module")
def streets(shared, tmp_path_factory):
    """Four photographs of CamVid's test part as a table, and their annotation."""
    found = camvid(unpack(shared / "data/camvid/camvid_test.tar", tmp_path_factory.mktemp("streets") / "camvid"))
    chosen = range(0, len(found.sources), 30)
    return of_paths([found.sources[i] for i in chosen]), [found.mask(i) for i in chosen], found.void


def of_paths(paths):
    column = StringVariable("image")
    column.attributes["type"] = "image"
    return Table.from_list(Domain([], [], [column]), [[str(path)] for path in paths])


@pytest.mark.usefixtures("given")
class TestSegmentation(base.WidgetTest):
    @pytest.fixture
    def given(self, network, table, photographs, tmp_path):
        self.model, self.file = network
        self.table, self.photographs, self.masks = table, photographs, tmp_path / "masks"

    def setUp(self):
        super().setUp()
        self.widget = self.create_widget(OWImageSegmentation)  # Orange's own checks look at it

    def outputs(self, data, **settings):
        self.widget = self.create_widget(
            OWImageSegmentation, stored_settings={"file": str(self.file), "masks": str(self.masks), **settings}
        )
        self.send_signal(self.widget.Inputs.images, data)
        outputs = self.widget.Outputs
        return [self.get_output(output, self.widget, wait=300000) for output in (outputs.images, outputs.skipped)]

    def test_shares_and_masks_are_the_networks(self):
        images, skipped = self.outputs(self.table)
        assert [each.name for each in images.domain.attributes] == ["weight", "a", "b", "c", "d"]
        mask = images.domain["mask"]
        assert mask.attributes == {"type": "image", "origin": str(self.masks)}
        assert images.get_column(mask).tolist() == ["cats/1.png", "cats/ö 2.png", "dogs/1.png", "dogs/2.png"]
        for row, name in zip(images, self.table.get_column("image"), strict=False):
            with Image.open(self.photographs / name) as image:
                classes = expected_probabilities(self.model, np.asarray(image.convert("RGB"))).argmax(-1)
            written = read_mask(self.masks / row["mask"].value)
            assert (written == classes).mean() > 0.999  # float32 apart from float64
            shares = [(written == label).mean() for label in range(4)]
            np.testing.assert_allclose(row.x[1:], shares, atol=1e-12)
        assert len(skipped) == 4

    def test_without_masks(self):
        images, _ = self.outputs(self.table[:2], masks="")
        assert images.domain.metas == self.table.domain.metas
        np.testing.assert_allclose(images.X[:, 1:].sum(1), 1)

    def test_masks_of_an_earlier_run_are_replaced_and_nothing_else(self):
        self.outputs(self.table[:2])
        (self.masks / "cats" / "1.png").write_bytes((self.photographs / "cats" / "1.png").read_bytes())
        images, skipped = self.outputs(self.table[:2])
        assert images.get_column("mask").tolist() == ["cats/ö 2.png"]
        assert "no mask; choose another folder" in skipped[0]["reason"].value
        images, skipped = self.outputs(self.table[:2], masks=str(self.photographs))
        assert images is None
        assert len(skipped) == 2

    def test_what_is_missing_is_said(self):
        self.outputs(self.table, file="")
        assert "Choose a network" in str(self.widget.Error.failed)
        assert self.outputs(self.table, file=str(self.photographs / "gone.tflite")) == [None, None]
        assert "no such file" in str(self.widget.Error.failed)

    def test_the_crf_is_set_where_it_is_switched_on(self):
        self.outputs(None, crf=True, weight=4.0, theta_alpha=20.0, theta_beta=3.0, shorter=360)
        settings = self.widget.plan().args[0]
        assert settings == Segmentation(str(self.file), 360, (4.0, 20.0, 3.0), self.masks)
        assert Segmentation(str(self.file), None, None, self.masks) == self.switched_off().plan().args[0]

    def switched_off(self):
        self.outputs(None)
        return self.widget


def test_names_of_masks(tmp_path):
    table = of_paths(["a/1.png", "a/1.jpg", "../1.png", "/b/1.png", "a/1.jpg", "2.tar.png"])
    column = table.domain["image"]
    paths = {row: str(tmp_path / str(name)) for row, name in enumerate(table.get_column(column))}
    places = [str(place) for _, place in mask_places(table, column, paths)]
    assert places == ["a/1.png", "a/1-2.png", "1.png", "1-2.png", "a/1-2.png", "2.tar.png"]


def test_streets_are_segmented_and_better_with_the_crf(streets, tmp_path):
    table, annotated, void = streets
    right = []
    for crf in (None, (4.0, 20.0, 3.0)):
        settings = Segmentation(str(CAMVID), crf=crf, masks=tmp_path / str(bool(crf)))
        found = segment_table(settings, table, table.domain["image"], lambda share: None).images
        masks = [read_mask(settings.masks / name) for name in found.get_column("mask")]
        agree = [mask[truth != void] == truth[truth != void] for mask, truth in zip(masks, annotated, strict=True)]
        right.append(np.concatenate(agree).mean())
    assert [each.name for each in found.domain.attributes] == list(CAMVID_CLASSES)
    assert 0.85 < right[0] < right[1]

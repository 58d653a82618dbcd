"""The widget *Keras Vision Embedding* against `ImageEmbedder` itself."""

import numpy as np
import pytest
from Orange.data import Domain, StringVariable, Table
from Orange.widgets.tests import base

import keras_vision as kv
from keras_vision.analytics import ImageEmbedder
from keras_vision.orange.embedding import FILE, OWKerasVisionEmbedding, networks
from keras_vision.orange.image_widget import Cancelled
from keras_vision.orange.tables import NO_PATH, REMOTE, image_columns
from keras_vision.registry import catalogue


@pytest.fixture(scope="module")
def network(randomize, tmp_path_factory):
    """A small SqueezeNet's features as a LiteRT file."""
    model = randomize(kv.applications.SqueezeNetV1_1(weights=None, classes=5, input_shape=(48, 48, 3)))
    path = tmp_path_factory.mktemp("network") / "features.tflite"
    ImageEmbedder(model).export(path)
    return path


@pytest.mark.usefixtures("given")
class TestEmbedding(base.WidgetTest):
    @pytest.fixture
    def given(self, network, table, photographs, tmp_path, monkeypatch, request):
        monkeypatch.setenv("KERAS_VISION_CACHE", str(tmp_path))
        self.table, self.network, self.photographs, self.request = table, network, photographs, request

    def setUp(self):
        super().setUp()
        self.widget = self.made(file="")  # Orange's own checks look at it

    def made(self, **settings):
        chosen = {"network": FILE, "file": str(self.network), "auto_apply": True, **settings}
        widget = self.create_widget(OWKerasVisionEmbedding, stored_settings=chosen)
        self.images, self.skipped = widget.Outputs.images, widget.Outputs.skipped
        return widget

    def outputs(self, widget):
        return [self.get_output(output, widget, wait=300000) for output in (self.images, self.skipped)]

    def test_vectors_stand_behind_the_tables_own_attributes(self):
        widget = self.made()
        self.send_signal(widget.Inputs.images, self.table)
        images, skipped = self.outputs(widget)
        paths = [str(self.photographs / name) for name in self.table[:4].get_column("image")]
        expected = ImageEmbedder(self.network, cache=False).transform(paths)
        np.testing.assert_allclose(images.X[:, 1:], expected, rtol=1e-6)
        assert images.X[:, 0].tolist() == [0, 1, 2, 3]
        assert images.domain.metas == self.table.domain.metas
        assert images.domain.class_var == self.table.domain.class_var
        assert [each.name for each in images.domain.attributes[:3]] == ["weight", "n0", "n1"]
        assert all(each.attributes["hidden"] for each in images.domain.attributes[1:])
        assert [row["reason"].value for row in skipped][2:] == [NO_PATH, REMOTE]
        assert [row["reason"].value.split(":")[0] for row in skipped][:2] == ["damaged", "no such file or directory"]
        assert skipped.get_column("image").tolist() == self.table[4:].get_column("image").tolist()
        assert widget.Warning.skipped.is_shown()

    def test_no_table_and_no_column(self):
        widget = self.made()
        self.send_signal(widget.Inputs.images, self.table)
        assert self.outputs(widget)[0] is not None
        self.send_signal(widget.Inputs.images, None)
        assert self.outputs(widget) == [None, None]
        assert not widget.Warning.no_images.is_shown()
        self.send_signal(widget.Inputs.images, Table("iris"))
        assert widget.Warning.no_images.is_shown()
        assert self.outputs(widget) == [None, None]

    def test_nothing_can_be_read(self):
        widget = self.made()
        self.send_signal(widget.Inputs.images, self.table[4:])
        images, skipped = self.outputs(widget)
        assert images is None
        assert len(skipped) == 4

    def test_embedding_twice_keeps_both(self):
        widget = self.made()
        self.send_signal(widget.Inputs.images, self.table[:2])
        once = self.outputs(widget)[0]
        self.send_signal(widget.Inputs.images, once)
        twice = self.outputs(widget)[0]
        assert len(twice.domain.attributes) == 1 + 2 * 512
        np.testing.assert_array_equal(twice.X[:, 1:513], twice.X[:, 513:])

    def test_what_is_missing_is_said(self):
        widget = self.made(file="")
        self.send_signal(widget.Inputs.images, self.table)
        assert "choose a .tflite or .keras file" in str(widget.Error.failed)
        widget = self.made(file=str(self.photographs / "cats" / "1.png"))
        self.send_signal(widget.Inputs.images, self.table)
        assert "no .tflite or .keras file" in str(widget.Error.failed)
        widget = self.made(layer="fire4")
        self.send_signal(widget.Inputs.images, self.table)
        assert self.outputs(widget) == [None, None]
        assert "leave these arguments out" in str(widget.Error.failed)

    def test_a_named_network_with_weights_from_a_file(self):
        weights = self.request.getfixturevalue("shared") / "weights" / "squeezenet_v1.1.npz"
        widget = self.made(network="SqueezeNetV1_1", weights=FILE, file=str(weights), layer="fire8", pooling="max")
        self.send_signal(widget.Inputs.images, self.table[:3])
        images = self.outputs(widget)[0]
        expected = ImageEmbedder("SqueezeNetV1_1", weights, "fire8", "max", cache=False)
        paths = [str(self.photographs / name) for name in self.table[:3].get_column("image")]
        np.testing.assert_allclose(images.X[:, 1:], expected.transform(paths), rtol=1e-6)

    def test_weights_follow_the_network(self):
        widget = self.made(network="InceptionV3", weights="imagenet", file="")
        assert list(widget.weights_model) == [*catalogue()["InceptionV3"]["weights"], FILE]
        assert not widget.file_row.isEnabled()
        widget.network = "AlexNet"
        widget.network_changed()
        assert (list(widget.weights_model), widget.weights) == ([FILE], FILE)
        assert widget.file_row.isEnabled()
        widget.network = FILE
        widget.network_changed()
        assert not widget.weights_box.isEnabled()

    def test_cancelled(self):
        widget = self.made()
        begun = []

        def endless(data, column, advance):
            begun.append(True)
            try:
                while True:
                    advance(0.5)
            except Cancelled:
                begun.append("ended")
                raise

        widget.plan = lambda: endless
        self.send_signal(widget.Inputs.images, self.table)
        self.process_events(lambda: bool(begun), timeout=20000)
        assert widget.cancel_button.isEnabled()
        future = widget.task.future
        widget.cancel_button.click()
        assert isinstance(future.exception(timeout=20), Cancelled)
        assert widget.task is None
        assert not widget.cancel_button.isEnabled()
        assert not widget.Error.failed.is_shown()
        assert begun[-1] == "ended"

    def test_progress_ends_with_all_images(self):
        widget = self.made()
        seen = []
        widget.progressBarSet = lambda value: seen.append(value)
        self.send_signal(widget.Inputs.images, self.table)
        self.outputs(widget)
        assert seen[0] == 0
        assert seen[-1] == 100


def test_every_network_of_photographs_is_offered_those_with_weights_first():
    names = networks()
    assert set(names) == {name for name, entry in catalogue().items() if entry["input"][2] == 3}
    public = [bool(catalogue()[name]["weights"]) for name in names]
    assert public == sorted(public, reverse=True)
    assert sum(public) > 20


def test_columns_said_to_hold_images_come_first(table):
    assert [each.name for each in image_columns(table)] == ["image", "image name"]
    plain = Table.from_list(Domain([], [], [StringVariable("path")]), [["a.png"]])
    assert [each.name for each in image_columns(plain)] == ["path"]

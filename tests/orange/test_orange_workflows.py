"""The workflows of the paper's Figures 1 and 3: found by Orange, opened by its reader, and run on photographs."""

import importlib
import tarfile
import time
import xml.etree.ElementTree as ET
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from AnyQt.QtWidgets import QApplication
from Orange.canvas.config import Config
from orangecanvas.registry import WidgetRegistry
from orangecanvas.scheme.readwrite import scheme_load
from orangewidget.workflow.discovery import WidgetDiscovery
from orangewidget.workflow.widgetsscheme import WidgetsScheme
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from keras_vision.analytics import ImageEmbedder, cross_validate, distances
from keras_vision.orange import workflows
from keras_vision.orange.embedding import FILE

FOLDER = Path(workflows.__file__).parent
CLASSES = ("airplane", "automobile")
EACH = 12


@pytest.fixture(scope="module")
def folder(shared, tmp_path_factory):
    """Some photographs of CIFAR-10 in a folder for each class."""
    out = tmp_path_factory.mktemp("cifar")
    left = dict.fromkeys(CLASSES, EACH)
    with tarfile.open(shared / "data/cifar10_jpeg/cifar10_jpeg_test.tar.gz") as archive:
        while any(left.values()):
            member = archive.next()
            name = Path(member.name).parent.name
            if member.isfile() and left.get(name):
                member.name = f"{name}/{Path(member.name).name}"
                archive.extract(member, out, filter="data")
                left[name] -= 1
    return out


@pytest.fixture(scope="module")
def network(shared, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "features.tflite"
    ImageEmbedder("SqueezeNetV1_1", shared / "weights" / "squeezenet_v1.1.npz").export(path)
    return path


@pytest.fixture(scope="session")
def application():
    """Qt's application: it has to outlive what Orange keeps from one workflow to the next."""
    return QApplication.instance() or QApplication([])


@pytest.fixture
def opened(application):
    """Opens a workflow by its file's name, with no more of Orange's own widgets loaded than it has."""
    schemes = []

    def scheme_of(name):
        path = FOLDER / name
        registry = WidgetRegistry()
        discovery = WidgetDiscovery(registry)
        discovery.run(point for point in entry_points(group="orange.widgets") if point.value == "keras_vision.orange")
        modules = {node.get("qualified_name").rpartition(".")[0] for node in ET.parse(path).iter("node")}
        for module in sorted(modules - {"keras_vision.orange.embedding"}):
            discovery.process_widget_module(importlib.import_module(module), category_name="others")
        schemes.append(WidgetsScheme())
        errors = []
        with path.open("rb") as stream:
            scheme_load(schemes[-1], stream, registry, errors.append)
        assert errors == []
        return schemes[-1], {node.title: schemes[-1].widget_for_node(node) for node in schemes[-1].nodes}

    yield scheme_of
    for scheme in schemes:
        until(lambda scheme=scheme: not any(scheme.widget_for_node(node).isInvalidated() for node in scheme.nodes))
        scheme.signal_manager.stop()
        scheme.clear()
    application.processEvents()


def until(condition, seconds=240):
    """Runs Qt's events until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came"
        QApplication.processEvents()
        time.sleep(0.005)


def start(widgets, folder, network):
    embedding = widgets["Keras Vision Embedding"]
    assert (embedding.network, embedding.weights) == ("InceptionV3", "imagenet")  # as in the paper
    embedding.network, embedding.file = FILE, str(network)
    widgets["Import Images"].setCurrentPath(str(folder))
    widgets["Import Images"].start()
    return embedding


def test_orange_lists_our_widgets_and_workflows():
    registry = WidgetRegistry()
    WidgetDiscovery(registry).run(p for p in Config.widgets_entry_points() if p.value == "keras_vision.orange")
    assert {each.name for each in registry.widgets()} == {"Keras Vision Embedding", "Image Segmentation"}
    (category,) = registry.categories()
    assert category.name == "Keras Vision"
    for each in (category, *registry.widgets()):
        assert (Path(workflows.__file__).parents[1] / each.icon).is_file()
    assert "keras_vision.orange.workflows" in {point.value for point in Config.examples_entry_points()}
    assert len(list(FOLDER.glob("*.ows"))) == 2


def test_figure_1_groups_images(opened, folder, network):
    scheme, widgets = opened("510-image-clustering.ows")
    assert len(scheme.nodes) == len(scheme.links) == 8
    embedding = start(widgets, folder, network)
    tree, plane = widgets["Hierarchical Clustering"], widgets["MDS"]
    until(lambda: tree.matrix is not None and plane.matrix is not None)
    paths = [str(folder / name) for name in embedding.data.get_column(embedding.image_column)]
    assert len(paths) == EACH * len(CLASSES)
    expected = distances(ImageEmbedder(network, cache=False).transform(paths))
    np.testing.assert_allclose(tree.matrix, expected, atol=1e-5)
    assert tree.linkage == 4  # Ward's
    tree.dendrogram.set_selected_clusters([tree.root.left])
    until(lambda: plane.subset_data is not None)


def test_figure_3_classifies_images_and_shows_the_mistaken(opened, folder, network):
    scheme, widgets = opened("520-image-classification.ows")
    assert len(scheme.nodes) == len(scheme.links) == 9
    score, matrix = widgets["Test and Score"], widgets["Confusion Matrix"]
    assert (score.resampling, score.NFolds[score.n_folds], score.cv_stratified) == (score.KFold, 10, True)
    embedding = start(widgets, folder, network)
    until(lambda: matrix.results is not None)

    paths = [folder / name for name in embedding.data.get_column(embedding.image_column)]
    vectors = ImageEmbedder(network, cache=False).transform(paths)
    truth = np.array([path.parent.name for path in paths])
    turns = StratifiedKFold(10, shuffle=True, random_state=42)  # Orange's order
    expected = cross_val_predict(LogisticRegression(C=1), vectors, truth, cv=turns, method="predict_proba")
    found, order = matrix.results, matrix.results.row_indices
    np.testing.assert_allclose(found.probabilities[0], expected[order], atol=0.01)

    guesses = np.array(CLASSES)[expected.argmax(1)]
    (learner,) = score.learners.values()
    scores = {scorer.name: each.value[0] for scorer, each in zip(score.scorers, learner.stats, strict=True)}
    assert scores["CA"] == pytest.approx((guesses == truth).mean(), abs=1e-6)
    assert scores["AUC"] == pytest.approx(roc_auc_score(truth == CLASSES[1], expected[:, 1]), abs=0.01)
    assert abs(scores["CA"] - cross_validate(vectors, list(truth)).ca) <= 3 / len(truth)  # in other folds
    assert scores["CA"] > 0.7  # by chance 0.5; this or more in one of 60 times
    cells = [[matrix.tablemodel.item(row, column).text() for column in (2, 3)] for row in (2, 3)]
    np.testing.assert_array_equal(np.array(cells, int), confusion_matrix(truth, guesses, labels=CLASSES))

    viewer, plane = widgets["Image Viewer"], widgets["MDS"]
    assert viewer.data is None
    viewer.show()
    matrix.select_wrong()
    until(lambda: viewer.data is not None and plane.subset_data is not None)
    wrong = {path for path, mistaken in zip(paths, guesses != truth, strict=True) if mistaken}
    assert wrong
    assert {Path(item.url.toLocalFile()) for item in viewer.items} == wrong
    assert {folder / name for name in plane.subset_data.get_column(embedding.image_column)} == wrong
    until(lambda: all(item.future.done() for item in viewer.items))
    assert {(image.width(), image.height()) for image in (item.future.result() for item in viewer.items)} == {(32, 32)}

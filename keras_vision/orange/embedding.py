"""The widget *Keras Vision Embedding*: images as vectors, computed on this machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from AnyQt.QtWidgets import QFileDialog
from Orange.data import Table, Variable
from Orange.widgets import gui
from Orange.widgets.settings import Setting
from Orange.widgets.utils.itemmodels import PyListModel
from Orange.widgets.widget import Output

from keras_vision.analytics.embedding import ImageEmbedder
from keras_vision.errors import KerasVisionError
from keras_vision.orange.image_widget import LABEL_WIDTH, Advance, ImageWidget, Work, path_row
from keras_vision.orange.tables import Result, image_paths, skipped_rows, with_columns
from keras_vision.registry import catalogue

FILE = "from a file"  # in place of a network's name, and of its weights'


class OWKerasVisionEmbedding(ImageWidget):
    """A table of images to the same table with their vectors, and to the images that could not be read."""

    name = "Keras Vision Embedding"
    description = "Images as vectors by a deep network on this machine; no image leaves it."
    keywords = "image embedding, features, deep, local"
    icon = "icons/embedding.svg"
    priority = 10

    network = Setting("SqueezeNetV1_1")
    weights = Setting("torchvision")
    file = Setting("")
    layer = Setting("")
    pooling = Setting("avg")

    class Outputs:
        images = Output("Embeddings", Table, default=True)
        skipped = Output("Skipped Images", Table)

    def add_controls(self, box: Any) -> None:
        self._embedder: tuple[dict[str, Any], ImageEmbedder] | None = None
        self.network_model = PyListModel([FILE, *networks()])
        if self.network not in self.network_model:  # a workflow of another version
            self.network = FILE
        self.weights_model = PyListModel([*self.public_weights(), FILE])
        self.weights = self.fitting_weights()
        options = dict(orientation=gui.Qt.Horizontal, labelWidth=LABEL_WIDTH)
        gui.comboBox(
            box, self, "network", label="Network:", model=self.network_model, callback=self.network_changed,
            searchable=True, **options,
        )  # fmt: skip
        self.weights_box = gui.comboBox(
            box, self, "weights", label="Weights:", model=self.weights_model, callback=self.weights_changed, **options
        )
        self.file_row = path_row(box, self, "file", "File:", self.ask_file, ".tflite, .keras, or a weight file")
        self.layer_line = gui.lineEdit(box, self, "layer", label="Layer:", callback=self.changed, **options)
        self.layer_line.setPlaceholderText("the last but one")
        gui.comboBox(
            box,
            self,
            "pooling",
            label="Pooling:",
            model=PyListModel(["avg", "max", "none"]),
            callback=self.changed,
            **options,
        )
        self.show_weights()

    def ask_file(self) -> str:
        """Ask for a file."""
        return QFileDialog.getOpenFileName(self, "Network or weights", self.file)[0]

    def network_changed(self) -> None:
        """Another network has other weights."""
        self.show_weights()
        self.changed()

    def weights_changed(self) -> None:
        """A file is asked for only if the weights are in one."""
        self.file_row.setEnabled(FILE in (self.network, self.weights))
        self.changed()

    def show_weights(self) -> None:
        """Offer the weights of the network, and ask for a file only if something is in one."""
        weights = self.fitting_weights()
        self.weights_model[:] = [*self.public_weights(), FILE]
        self.weights = weights
        self.weights_box.setEnabled(self.network != FILE)
        self.file_row.setEnabled(FILE in (self.network, self.weights))

    def public_weights(self) -> list[str]:
        """Names of the network's public weights."""
        return catalogue()[self.network]["weights"] if self.network != FILE else []

    def fitting_weights(self) -> str:
        """The weights that were chosen, if the network has them, else its first."""
        known = [*self.public_weights(), FILE]
        return self.weights if self.weights in known else known[0]

    def plan(self) -> Work:
        options = self.options()
        if self._embedder is None or self._embedder[0] != options:
            self._embedder = options, ImageEmbedder(**options)
        return partial(embed_table, self._embedder[1])

    def options(self) -> dict[str, Any]:
        """Arguments of `ImageEmbedder`.

        Raises:
            KerasVisionError: a file is missing.
        """
        layer = self.layer.strip() or None
        if FILE in (self.network, self.weights) and not Path(self.file).is_file():
            what = "a .tflite or .keras file" if self.network == FILE else f"a weight file of {self.network}"
            raise KerasVisionError(f"{self.file or 'No file is chosen'}: choose {what}.")
        if self.network != FILE:
            weights = self.file if self.weights == FILE else self.weights
            return dict(model=self.network, weights=weights, layer=layer, pooling=self.pooling)
        if Path(self.file).suffix not in (".tflite", ".keras"):
            raise KerasVisionError(f"{self.file} is no .tflite or .keras file; for weights, choose their network.")
        return dict(model=self.file, layer=layer, pooling=self.pooling)


def networks() -> list[str]:
    """Names of the zoo's networks of photographs, those with public weights first."""
    usable = {name: entry for name, entry in catalogue().items() if entry["input"][2] == 3}
    return sorted(usable, key=lambda name: (not usable[name]["weights"], name.lower()))


def embed_table(embedder: ImageEmbedder, data: Table, column: Variable, advance: Advance) -> Result:
    """Rows with the vectors of their images as hidden attributes n0, n1, ..., and the rows whose images are not read.

    Args:
        embedder: of any network.
        data: with any domain.
        column: names the images.
        advance: called with the share that is done; what it raises ends the work.

    Raises:
        KerasVisionError: the network cannot be opened.
    """
    paths, reasons = image_paths(data, column)
    if not hasattr(embedder, "runner_"):
        embedder.fit()
    advance(0)
    found = embedder.embed(paths.values(), lambda done: advance(done / len(paths)))
    vectors = dict(zip(found.paths, found.vectors, strict=True))
    unread = {each.path: each.reason for each in found.skipped}
    reasons |= {row: unread[path] for row, path in paths.items() if path in unread}
    rows = [row for row in paths if row not in reasons]
    images = None
    if rows:
        matrix = np.stack([vectors[paths[row]] for row in rows])
        images = with_columns(data, rows, list(embedder.get_feature_names_out()), matrix, hidden=True)
    return Result(images, skipped_rows(data, reasons))

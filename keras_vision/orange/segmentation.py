"""The widget *Image Segmentation*: how much of each image belongs to which class, and masks of the classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from AnyQt.QtWidgets import QFileDialog
from Orange.data import Table, Variable
from Orange.widgets import gui
from Orange.widgets.settings import Setting
from Orange.widgets.widget import Output
from PIL import Image

from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.orange.image_widget import LABEL_WIDTH, Advance, ImageWidget, Work, path_row
from keras_vision.orange.tables import Result, image_names, image_paths, skipped_rows, with_columns, with_text
from keras_vision.runtime import DensePredictor, open_image


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """What to do with each image.

    Attributes:
        file: a LiteRT network of classes at each pixel: an exported FCN or DeepLab.
        shorter: length the shorter side is resized to for the network, in pixels; None for the image's own.
        crf: weight, theta_alpha (pixels) and theta_beta (0-255) of the CRF's appearance kernel; None for no CRF.
        masks: folder for masks, or None for none.
    """

    file: str
    shorter: int | None = None
    crf: tuple[float, float, float] | None = None
    masks: Path | None = None


class OWImageSegmentation(ImageWidget):
    """A table of images to the share of each class in each, with masks, and to the images that could not be read."""

    name = "Image Segmentation"
    description = "Classes of all pixels by a deep network on this machine: the share of each class, and masks."
    keywords = "image segmentation, mask, pixels, crf"
    icon = "icons/segmentation.svg"
    priority = 20

    file = Setting("")
    shorter = Setting(0)
    crf = Setting(False)
    weight = Setting(10.0)
    theta_alpha = Setting(80.0)
    theta_beta = Setting(13.0)
    masks = Setting("")

    class Outputs:
        images = Output("Segmented Images", Table, default=True)
        skipped = Output("Skipped Images", Table)

    def add_controls(self, box: Any) -> None:
        path_row(box, self, "file", "Network:", self.ask_file, ".tflite of an FCN or DeepLab")
        options = dict(labelWidth=LABEL_WIDTH, callback=self.changed)
        shorter = gui.spin(box, self, "shorter", 0, 8192, 16, label="Shorter side:", **options)
        shorter.setSpecialValueText("the image's own")
        shorter.setSuffix(" pixels")
        path_row(box, self, "masks", "Masks to:", self.ask_folder, "no masks are written")
        refined = gui.widgetBox(self.controlArea, "Fully-connected CRF")
        switch = gui.checkBox(refined, self, "crf", "Refine by the colours of the image", callback=self.changed)
        terms = gui.widgetBox(refined)
        gui.doubleSpin(terms, self, "weight", 0.1, 100, 0.1, label="Weight:", **options)
        gui.doubleSpin(terms, self, "theta_alpha", 1, 500, 1, label="Reach in pixels:", **options)
        gui.doubleSpin(terms, self, "theta_beta", 1, 255, 1, label="Reach in colours:", **options)
        switch.disables.append(terms)
        switch.makeConsistent()

    def ask_file(self) -> str:
        """Ask for a network."""
        return QFileDialog.getOpenFileName(self, "Network", self.file, "LiteRT (*.tflite)")[0]

    def ask_folder(self) -> str:
        """Ask for the masks' folder."""
        return QFileDialog.getExistingDirectory(self, "Folder for masks", self.masks)

    def plan(self) -> Work:
        if not self.file:
            raise KerasVisionError("Choose a network: the .tflite file of an exported FCN or DeepLab.")
        crf = (self.weight, self.theta_alpha, self.theta_beta) if self.crf else None
        masks = Path(self.masks) if self.masks else None
        return partial(segment_table, Segmentation(self.file, self.shorter or None, crf, masks))


def segment_table(settings: Segmentation, data: Table, column: Variable, advance: Advance) -> Result:
    """Rows with the share of each class in their images' pixels, 0 to 1, and of masks; the rows that are skipped.

    Args:
        settings: what to do.
        data: with any domain.
        column: names the images.
        advance: called with the share that is done; what it raises ends the work.

    Raises:
        KerasVisionError: the network cannot be used; a mask's folder cannot be written.
    """
    predictor = DensePredictor(settings.file)
    if not 2 <= predictor.maps <= 256:
        raise KerasVisionError(f"{settings.file} gives {predictor.maps} maps; segmenting takes 2 to 256 classes.")
    paths, reasons = image_paths(data, column)
    places = dict(mask_places(data, column, paths))
    rows: list[int] = []
    shares: list[np.ndarray] = []
    for done, (row, path) in enumerate(paths.items()):
        advance(done / len(paths))
        try:
            labels = classes(predictor, open_image(path), settings)
            if settings.masks is not None:
                write(settings.masks / places[row], labels, predictor.labels)
        except ImageError as error:
            reasons[row] = error.reason
        except KerasVisionError as error:
            reasons[row] = str(error)
        else:
            rows.append(row)
            shares.append(np.bincount(labels.ravel(), minlength=predictor.maps) / labels.size)
    if not rows:
        return Result(None, skipped_rows(data, reasons))
    names = predictor.labels or [f"class {number}" for number in range(predictor.maps)]
    images = with_columns(data, rows, names, np.stack(shares), hidden=False)
    if settings.masks is not None:
        kind = {"type": "image", "origin": str(settings.masks.absolute())}
        images = with_text(images, "mask", [str(places[row]) for row in rows], kind)
    return Result(images, skipped_rows(data, reasons))


def classes(predictor: DensePredictor, image: Image.Image, settings: Segmentation) -> np.ndarray:
    """The most probable class of each pixel, `(h, w)`.

    Raises:
        KerasVisionError: the network or the CRF cannot take the image.
    """
    probabilities = predictor.predict(image, settings.shorter)
    if settings.crf is not None:
        from keras_vision.ops import Bilateral, Gaussian, dense_crf

        kernels = (Bilateral(*settings.crf), Gaussian())
        pixels = np.asarray(image.convert("RGB"), np.float32)
        probabilities = np.asarray(
            dense_crf(probabilities[None], pixels[None], kernels=kernels, from_probabilities=True)
        )[0]
    return probabilities.argmax(-1)


def mask_places(data: Table, column: Variable, paths: dict[int, str]) -> Iterator[tuple[int, Path]]:
    """Where the mask of each row lies below the masks' folder: as the column names the image, but as PNG.

    Only the file's name is kept of names that lead elsewhere; a name that is taken gets a number. Rows of the same
    image share a mask.
    """
    names = image_names(data, column)
    taken: dict[Path, str] = {}
    for row, path in paths.items():
        name = Path(names[row])
        inside = (Path(name.name) if name.is_absolute() or ".." in name.parts else name).with_suffix(".png")
        place, number = inside, 1
        while taken.setdefault(place, path) != path:
            number += 1
            place = inside.with_stem(f"{inside.stem}-{number}")
        yield row, place


def write(path: Path, labels: np.ndarray, names: tuple[str, ...] | None) -> None:
    """Write a mask over one of an earlier run, and over nothing else.

    Raises:
        KerasVisionError: something else lies there, or the folder cannot be written.
    """
    from keras_vision.data import write_mask
    from keras_vision.data.masks import is_ours
    from keras_vision.data.palettes import class_palette

    if path.exists() and not is_ours(path):
        raise KerasVisionError(f"{path}: there already, and no mask; choose another folder.")
    write_mask(path, labels, class_palette(names), overwrite=True)

"""Detection by region: proposals, spatial pyramids of their windows, a linear SVM per class, and better boxes."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_folder
from keras_vision.localisation.boxes import checked_boxes, clip_boxes, iou
from keras_vision.localisation.pyramid_windows import PyramidWindows
from keras_vision.localisation.suppression import suppress_overlaps

_BACKGROUND = 0.3  # a proposal that overlaps each object of a class by less is a negative of it
_NEAR = 0.6  # one that overlaps an object by more teaches its box
_NETWORK, _HEADS = "network.keras", "heads.npz"


class Detection(NamedTuple):
    """Detections of one image, the surest first.

    Attributes:
        boxes: left, top, right, bottom in pixels, `(n, 4)`.
        scores: distance to the plane of the class's SVM, `(n,)`.
        labels: classes, `(n,)`.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def of_class(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and scores of one class, for `precision_recall`."""
        own = self.labels == label
        return self.boxes[own], self.scores[own]


@dataclasses.dataclass(frozen=True, eq=False)
class RegionDetector:
    """Linear heads over the pooled windows of a network.

    Attributes:
        network: gives the pyramid of each proposal.
        scale: by which features are multiplied, so that their mean length is 20.
        planes: weights of each class's SVM, bias last: `(classes, features + 1)`.
        shifts: weights of each class's box regression, bias last: `(classes, 4, features + 1)`.
    """

    network: PyramidWindows
    scale: float
    planes: np.ndarray
    shifts: np.ndarray

    @classmethod
    def fit(
        cls,
        network: PyramidWindows,
        images: Iterable[Any],
        proposals: Sequence[Any],
        boxes: Sequence[Any],
        labels: Sequence[Any],
        classes: int,
        *,
        c: float = 1e-3,
        ridge: float = 1000.0,
        negatives: int = 100,
        seed: int = 0,
    ) -> RegionDetector:
        """Trains the SVMs and the box regressions; the network's weights stay.

        Positives of a class are its objects' own boxes; negatives, proposals that overlap each of its objects by less
        than 0.3. A class without objects, or whose every window is one, never fires. Each class's boxes are learned
        from the proposals that overlap one of its objects by more than 0.6, and from the objects themselves.

        Args:
            network: over whole images.
            images: prepared for the network, `(h, w, c)` each.
            proposals: of each image, boxes `(n, 4)`, such as `Proposals.boxes`.
            boxes, labels: of the objects of each image, `(m, 4)` and `(m,)` from 0.
            classes: how many.
            c: of `sklearn.svm.LinearSVC`.
            ridge: penalty of the box regression.
            negatives: proposals of an image that are taken at most, drawn at random.
            seed: of the draw.

        Raises:
            KerasVisionError: numbers that differ, labels out of range, or no objects at all.

        Source: He et al., SPP-net, 2014, section 4.1; Girshick et al., CVPR 2014, section 2.3 and appendix C.
        """
        rng = np.random.default_rng(seed)
        rows, windows, targets, overlaps = [], [], [], []
        for image, found, own, own_labels in zip(images, proposals, boxes, labels, strict=True):
            objects, kinds = checked_boxes(own), np.asarray(own_labels, int).reshape(-1)
            if len(kinds) != len(objects) or (len(kinds) and not 0 <= kinds.min() <= kinds.max() < classes):
                raise KerasVisionError(
                    f"labels {kinds.tolist()} of {len(objects)} objects; give each one below {classes}."
                )
            some = checked_boxes(found)
            some = some[rng.permutation(len(some))[:negatives]]
            both = np.concatenate([objects, some])
            rows.append(_features(network, image, both))
            windows.append(both)
            fit, nearest = _fits(both, objects, kinds, classes)
            overlaps.append(fit)
            targets.append(nearest)
        if not any(len(each) for each in boxes):
            raise KerasVisionError("there are no objects to learn from.")
        flat, fit = np.concatenate(rows), np.concatenate(overlaps)
        scale = 20.0 / max(float(np.linalg.norm(flat, axis=1).mean()), 1e-12)
        flat = flat * np.float32(scale)
        planes = np.stack([_plane(flat, fit[:, k], c, seed) for k in range(classes)])
        where, goal = np.concatenate(windows), np.concatenate(targets)
        shifts = np.stack([_shift(flat, fit[:, k], where, goal[:, k], ridge) for k in range(classes)])
        return cls(network, scale, planes, shifts)

    def detect(self, image: Any, proposals: Any, *, overlap: float = 0.3, least: float = -1.0) -> Detection:
        """Detections among the proposals of one image, with bettered boxes, overlapping ones of a class suppressed.

        Args:
            image: prepared for the network, `(h, w, c)`.
            proposals: boxes `(n, 4)`.
            overlap: of `suppress_overlaps`.
            least: score below which nothing is reported.
        """
        windows = checked_boxes(proposals)
        rows = _features(self.network, image, windows) * np.float32(self.scale)
        scores = rows @ self.planes[:, :-1].T + self.planes[:, -1]
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for label, (shift, sure) in enumerate(zip(self.shifts, scores.T, strict=True)):
            own = np.flatnonzero(sure >= least)
            moved = _moved(windows[own], rows[own] @ shift[:, :-1].T + shift[:, -1])
            moved = clip_boxes(moved, *np.shape(image)[:2])
            kept = suppress_overlaps(moved, sure[own], overlap)
            found.append((moved[kept], sure[own][kept], np.full(len(kept), label)))
        boxes, sure, labels = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.argsort(-sure, kind="stable")
        return Detection(boxes[order], sure[order], labels[order])

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes the network, `network.keras`, and what was fitted to it, `heads.npz`.

        Raises:
            KerasVisionError: the folder exists and `overwrite` is off, or it cannot be written.
        """
        with whole_folder(folder, overwrite) as new:
            self.network.model.save(new / _NETWORK)
            np.savez_compressed(new / _HEADS, scale=self.scale, planes=self.planes, shifts=self.shifts)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> RegionDetector:
        """Reads what `save` wrote; nothing in the files is executed.

        Raises:
            KerasVisionError: files that are missing or damaged, or that do not belong together.
        """
        import keras_vision.applications  # noqa: F401  makes their layers known to Keras

        try:
            model = keras.saving.load_model(Path(folder) / _NETWORK, compile=False)
            with np.load(Path(folder) / _HEADS, allow_pickle=False) as file:
                scale, planes, shifts = float(file["scale"]), file["planes"], file["shifts"]
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise KerasVisionError(
                f"{folder} holds no detector ({error}); give what RegionDetector.save wrote."
            ) from error
        network = PyramidWindows(model)
        columns = network.length + 1
        if planes.shape[1:] != (columns,) or shifts.shape != (len(planes), 4, columns):
            raise KerasVisionError(
                f"{folder}: heads of {planes.shape} and {shifts.shape} do not fit pyramids of {network.length} "
                "numbers; save the detector again."
            )
        return cls(network, scale, planes, shifts)


def _features(network: PyramidWindows, image: Any, windows: np.ndarray) -> np.ndarray:
    """Pyramids of windows as rows, `(n, bins * channels)`."""
    pooled = network.pooled(image, windows)
    return pooled.reshape(len(pooled), -1) if len(pooled) else pooled.reshape(0, int(np.prod(pooled.shape[1:])))


def _fits(windows: np.ndarray, objects: np.ndarray, kinds: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Best overlap of each window with an object of each class `(n, classes)`, and that object `(n, classes, 4)`."""
    best, nearest = np.zeros((len(windows), classes)), np.zeros((len(windows), classes, 4))
    for label in np.unique(kinds):
        own = objects[kinds == label]
        overlaps = iou(windows, own)
        best[:, label], nearest[:, label] = overlaps.max(1), own[overlaps.argmax(1)]
    return best, nearest


def _plane(rows: np.ndarray, fit: np.ndarray, c: float, seed: int) -> np.ndarray:
    """Weights and bias of one class's SVM."""
    right, wrong = fit == 1, fit < _BACKGROUND
    chosen = right | wrong
    if not right.any() or not wrong.any():
        return np.concatenate([np.zeros(rows.shape[1]), [-np.inf]])
    machine = LinearSVC(C=c, class_weight="balanced", intercept_scaling=10.0, random_state=seed, max_iter=2000)
    machine.fit(rows[chosen], right[chosen])
    return np.concatenate([machine.coef_[0], machine.intercept_])


def _shift(rows: np.ndarray, fit: np.ndarray, windows: np.ndarray, goal: np.ndarray, ridge: float) -> np.ndarray:
    """Weights and biases of one class's regression; nothing moves where there is nothing to learn from."""
    near = fit > _NEAR
    if not near.any():
        return np.zeros((4, rows.shape[1] + 1))
    (x, y, w, h), (gx, gy, gw, gh) = (_centred(boxes[near]) for boxes in (windows, goal))
    target = np.column_stack([(gx - x) / w, (gy - y) / h, np.log(gw / w), np.log(gh / h)])
    found = Ridge(ridge).fit(rows[near], target)
    return np.column_stack([found.coef_, found.intercept_])


def _moved(windows: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Windows moved by shares of their sides, and their sides multiplied; by twenty at most."""
    x, y, w, h = _centred(windows)
    dx, dy, dw, dh = shift.T
    x, y = x + dx * w, y + dy * h
    w, h = (side * np.exp(np.clip(by, -3, 3)) for side, by in ((w, dw), (h, dh)))
    return np.column_stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2])


def _centred(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    (x, y), (w, h) = ((boxes[:, :2] + boxes[:, 2:]) / 2).T, (boxes[:, 2:] - boxes[:, :2]).T
    return x, y, w, h

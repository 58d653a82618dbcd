"""All that a page shows of a set of images, computed from their vectors."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_vision.analytics.classification import CrossValidation, cross_validate
from keras_vision.analytics.clustering import outlier_scores, silhouettes, ward_tree
from keras_vision.analytics.embedding import Embeddings
from keras_vision.analytics.maps import image_grid, t_sne
from keras_vision.analytics.nearest import neighbours
from keras_vision.analytics.similarity import duplicates, near_duplicates
from keras_vision.analytics.tables import text_of
from keras_vision.errors import KerasVisionError

LARGEST = 10_000  # images of a page: all distances are held, 0.8 GB
_NEIGHBOURS = 12
_FEWER_FOLDS = 2000  # images above which 5 folds are used in place of 10


@dataclasses.dataclass(frozen=True)
class Exploration:
    """What `explore` found, row by row.

    Attributes:
        names: of the images, below the folder.
        labels: class of each, or None.
        points, grid: places on the t-SNE map `(n, 2)` and cells of the grid.
        tree: Ward's, as of `ward_tree`.
        places, apart: positions and cosine distances of the neighbours, `(n, 12)` or fewer.
        outliers: local outlier factors.
        silhouettes: of the classes; zeros without classes.
        scores: cross-validation of a logistic regression; None without two classes of two images.
        same, near: groups of copies and of near-duplicates.
        skipped: names and reasons.
    """

    names: list[str]
    labels: list[str | None]
    points: np.ndarray
    grid: np.ndarray
    tree: np.ndarray
    places: np.ndarray
    apart: np.ndarray
    outliers: np.ndarray
    silhouettes: np.ndarray
    scores: CrossValidation | None
    same: list[list[int]]
    near: list[list[int]]
    skipped: list[tuple[str, str]]


def explore(
    found: Embeddings,
    labels: Sequence[str | None] | None = None,
    root: str | os.PathLike | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Exploration:
    """Map, grid, tree, neighbours, outliers, copies, and how well the classes can be told apart.

    Args:
        found: of `ImageEmbedder.embed`.
        labels: class of each image; None for those without.
        root: folder that the names are shown below.
        seed: of t-SNE and the folds.
        progress: called with the name of each step before it.

    Raises:
        KerasVisionError: more than 10,000 images.
    """
    vectors, n = found.vectors, len(found.paths)
    if n > LARGEST:
        raise KerasVisionError(f"{n} images; a page shows at most {LARGEST}. Take a sample of them.")
    labels = list(labels) if labels is not None else [None] * n
    step = progress or (lambda name: None)
    step("map")
    points = t_sne(vectors, seed=seed)
    step("grid")
    grid = image_grid(points)
    step("tree")
    tree = ward_tree(vectors)
    step("neighbours and outliers")
    places, apart = neighbours(vectors, _NEIGHBOURS)
    outliers = outlier_scores(vectors)
    same, near = duplicates(found.content), near_duplicates(vectors)
    step("classes")
    scores = _scores(vectors, labels, seed)
    kinds = np.array(["" if label is None else label for label in labels])
    return Exploration(
        names=[_name(path, root) for path in found.paths],
        labels=labels,
        points=points,
        grid=grid,
        tree=tree,
        places=places,
        apart=apart,
        outliers=outliers,
        silhouettes=silhouettes(vectors, kinds) if scores is not None else np.zeros(n),
        scores=scores,
        same=same,
        near=near,
        skipped=[(_name(each.path, root), each.reason) for each in found.skipped],
    )


def _scores(vectors: np.ndarray, labels: Sequence[str | None], seed: int) -> CrossValidation | None:
    """Of the classes, or None where there are not two of two images."""
    sizes: dict[str, int] = {}
    for label in labels:
        if label is not None:
            sizes[label] = sizes.get(label, 0) + 1
    if sum(size >= 2 for size in sizes.values()) < 2:
        return None
    return cross_validate(vectors, labels, folds=10 if len(vectors) <= _FEWER_FOLDS else 5, seed=seed)


def _name(path: str, root: str | os.PathLike | None) -> str:
    return text_of(path if root is None else os.path.relpath(path, root))


def page_data(found: Exploration, title: str, model: str) -> dict[str, Any]:
    """The same as JSON values for the page; places as integers 0 to 9999, distances and factors to three digits."""
    classes = sorted({label for label in found.labels if label is not None})
    number = {name: i for i, name in enumerate(classes)}
    scores = found.scores
    return {
        "title": text_of(title),
        "model": model,
        "names": found.names,
        "classes": [text_of(name) for name in classes],
        "label": [-1 if label is None else number[label] for label in found.labels],
        "points": _scaled(found.points),
        "grid": found.grid.ravel().tolist(),
        "tree": [[int(a), int(b), round(float(h), 4), int(size)] for a, b, h, size in found.tree],
        "neighbours": found.places.tolist(),
        "apart": found.apart.round(3).tolist(),
        "outliers": found.outliers.round(3).tolist(),
        "silhouettes": found.silhouettes.round(3).tolist(),
        "scores": None if scores is None else {
            "auc": scores.auc,
            "ca": scores.ca,
            "f1": scores.f1,
            "folds": scores.folds,
            "left_out": len(scores.left_out),
            "classes": [number[name] for name in scores.classes],
            "confusion": scores.confusion.tolist(),
            "predicted": [-1 if p < 0 else number[scores.classes[p]] for p in scores.predicted],
        },
        "same": found.same,
        "near": found.near,
        "skipped": found.skipped,
    }  # fmt: skip


def _scaled(points: np.ndarray) -> list[int]:
    """x, y, x, y ... from 0 to 9999, in one scale for both."""
    if not len(points):
        return []
    extent = float(np.ptp(points, axis=0).max()) or 1.0
    middle = (points.max(0) + points.min(0)) / 2
    return ((points - middle) / extent * 9999 + 4999.5).round().astype(int).ravel().tolist()

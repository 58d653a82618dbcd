"""Hierarchies of regions: the ultrametric contour map of a boundary map, and its segmentations."""

from __future__ import annotations

import dataclasses
import heapq
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.arcs import Arcs, watershed_arcs


@dataclasses.dataclass(frozen=True, eq=False)
class Hierarchy:
    """Regions and the order in which they join; node i < n is a leaf, node n + k is made by merge k, as in SciPy.

    Attributes:
        labels: leaf of each pixel from 0 to n - 1, int32 `(h, w)`.
        children: the two nodes that each merge joins, `(n - 1, 2)`.
        heights: contour strength at which they join, never falling: `(n - 1,)`.
        pairs: neighbouring leaves, the lower number first, sorted: `(m, 2)`.
    """

    labels: np.ndarray
    children: np.ndarray
    heights: np.ndarray
    pairs: np.ndarray

    def __len__(self) -> int:
        """Leaves."""
        return len(self.heights) + 1

    @property
    def parents(self) -> np.ndarray:
        """Node that each node is merged into, `(2 n - 1,)`; the root's is itself."""
        parents = np.arange(2 * len(self) - 1)
        parents[self.children] = np.arange(len(self), len(parents))[:, None]
        return parents

    @property
    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """With leaves in the order of the tree, where each node's begin, and how many they are: two `(2 n - 1,)`."""
        n = len(self)
        start, size = np.zeros(2 * n - 1, int), np.ones(2 * n - 1, int)
        for k, (a, b) in enumerate(self.children, n):
            size[k] = size[a] + size[b]
        for k in reversed(range(n - 1)):
            a, b = self.children[k]
            start[a], start[b] = start[n + k], start[n + k] + size[a]
        return start, size

    def contours(self) -> np.ndarray:
        """Strength of the border of each pixel with the one on its right or below it, the greater: float32 `(h, w)`.

        The ultrametric contour map at the image's size, as the boundary benchmark takes it: cut at any threshold, it
        shows closed borders. 0 within regions, and of regions that join at 0.
        """
        heights, keys = (
            joining_heights(self, self.pairs),
            self.pairs @ np.array([len(self), 1]),
        )  # sorted, as the pairs are
        strength: np.ndarray = np.zeros(self.labels.shape, np.float32)
        for dy, dx in ((0, 1), (1, 0)):
            rows, columns = strength.shape[0] - dy, strength.shape[1] - dx
            inner, one, other = strength[:rows, :columns], self.labels[:rows, :columns], self.labels[dy:, dx:]
            y, x = np.nonzero(one != other)
            low, high = np.sort([one[y, x], other[y, x]], 0).astype(np.int64)
            inner[y, x] = np.maximum(inner[y, x], heights[np.searchsorted(keys, low * len(self) + high)])
        return strength


def ultrametric_contour_map(contours: Any, *, orientations: int = 8, limit: int = 100_000) -> Hierarchy:
    """The hierarchy of regions that a boundary map implies: oriented watershed, then the weakest border goes first.

    The two regions with the lowest mean contour strength along their common border are joined, until one is left. The
    mean over a border of several arcs weighs each by its length.

    Args:
        contours: strengths from 0 to 1, `(h, w)`, or by orientation `(orientations, h, w)` as in `gradient_contours`.
        orientations: into how many directions a map `(h, w)` is divided.
        limit: regions of the watershed. A noisy map has one for every few pixels.

    Raises:
        KerasVisionError: another shape, values outside [0, 1] or not finite, too many pixels or regions.

    Source: Arbelaez, Maire, Fowlkes and Malik, TPAMI 33(5), 2011, section 4.2.
    """
    arcs = watershed_arcs(contours, orientations)
    if (regions := int(arcs.labels.max()) + 1) > limit:
        raise KerasVisionError(f"{regions} regions; at most {limit} are joined: smooth the contours, or raise limit=.")
    return merged(arcs)


def merged(arcs: Arcs) -> Hierarchy:
    """Joins the two regions with the weakest common border until one is left. Equal borders: the lower numbers first.

    Of two joined regions the one with more neighbours, else with the lower number, keeps its number for this rule.
    """
    regions = int(arcs.labels.max()) + 1
    around: list[dict[int, tuple[float, float]]] = [{} for _ in range(regions)]
    for (a, b), strength, length in zip(arcs.pairs.tolist(), arcs.strength.tolist(), arcs.length.tolist(), strict=True):
        around[a][b] = around[b][a] = (strength, length)
    heap = [(arc[0] / arc[1], a, b) for a, arcs_of in enumerate(around) for b, arc in arcs_of.items() if a < b]
    heapq.heapify(heap)
    node = list(range(regions))
    children: list[tuple[int, int]] = []
    heights: list[float] = []
    while heap:
        mean, a, b = heapq.heappop(heap)
        arc = around[a].get(b)
        if arc is None or arc[0] / arc[1] != mean:  # joined, or changed, since
            continue
        children.append((node[a], node[b]))
        heights.append(max(mean, heights[-1]) if heights else mean)
        kept, gone = (a, b) if len(around[a]) >= len(around[b]) else (b, a)
        node[kept] = regions + len(heights) - 1
        _absorb(around, kept, gone, heap)
    return Hierarchy(arcs.labels, np.array(children, int).reshape(-1, 2), np.array(heights, float), arcs.pairs)


def _absorb(around: list[dict[int, tuple[float, float]]], kept: int, gone: int, heap: list) -> None:
    del around[kept][gone], around[gone][kept]
    for other, (strength, length) in around[gone].items():
        before = around[kept].get(other, (0.0, 0.0))
        arc = (strength + before[0], length + before[1])
        around[kept][other] = around[other][kept] = arc
        del around[other][gone]
        heapq.heappush(heap, (arc[0] / arc[1], min(kept, other), max(kept, other)))
    around[gone] = {}


def segment(ucm: Hierarchy, threshold: float) -> np.ndarray:
    """The regions that are left when those joined at or below a contour strength are joined: int32 `(h, w)`, from 1.

    Args:
        ucm: of `ultrametric_contour_map`.
        threshold: contour strength; every segmentation lies within those of higher thresholds.

    Raises:
        KerasVisionError: a threshold that is no number.
    """
    return (leaf_groups(ucm, threshold) + 1)[ucm.labels]


def leaf_groups(ucm: Hierarchy, threshold: float) -> np.ndarray:
    """Region of each leaf at a threshold, from 0 in the order of the lowest leaf: int32 `(n,)`.

    Raises:
        KerasVisionError: a threshold that is no number.
    """
    if np.isnan(threshold):
        raise KerasVisionError("threshold=nan; give a contour strength, such as 0.2.")
    nodes = 2 * len(ucm) - 1
    joined = np.flatnonzero(ucm.heights <= threshold)
    rows = np.repeat(joined + len(ucm), 2)
    graph = sparse.coo_array((np.ones(len(rows)), (rows, ucm.children[joined].ravel())), (nodes, nodes))
    groups = connected_components(graph, directed=False)[1][: len(ucm)]
    _, first, groups = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[groups].astype(np.int32)


def joining_heights(ucm: Hierarchy, pairs: np.ndarray) -> np.ndarray:
    """Strength at which the two nodes of each pair are first in one region, `(m,)`; 0 of a leaf with itself."""
    parents, height = ucm.parents, np.concatenate([np.zeros(len(ucm)), ucm.heights])
    low, high = np.sort(np.asarray(pairs), 1).T.copy()
    apart = np.flatnonzero(low != high)
    while len(apart):  # parents have higher numbers: the lower one climbs
        up = parents[low[apart]]
        low[apart], high[apart] = np.minimum(up, high[apart]), np.maximum(up, high[apart])
        apart = apart[low[apart] != high[apart]]
    return np.asarray(height[low])

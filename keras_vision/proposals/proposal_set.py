"""Object proposals of one image: sets of its smallest regions, and their masks and boxes."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from keras_vision.errors import KerasVisionError

_MOST = 20_000


@dataclasses.dataclass(frozen=True, eq=False)
class Proposals:
    """Proposals, the likeliest first as far as an order is known.

    Attributes:
        labels: smallest region of each pixel from 0, `(h, w)`.
        members: whether a proposal holds a region: bool `(proposals, regions)`.
        pairs: regions that touch: `(m, 2)`.
        scores: what a `ProposalRanker` expects of each, `(proposals,)`; None where none has ranked them.
    """

    labels: np.ndarray
    members: np.ndarray
    pairs: np.ndarray
    scores: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.members)

    @property
    def areas(self) -> np.ndarray:
        """Pixels, `(proposals,)`."""
        return self.members @ np.bincount(self.labels.ravel(), minlength=self.members.shape[1])

    @property
    def boxes(self) -> np.ndarray:
        """The box around each: x0, y0, x1, y1 in pixels, the last two behind the last pixel: int64 `(proposals, 4)`."""
        slices = ndimage.find_objects(self.labels + 1)
        corners = np.array([(x.start, y.start, x.stop, y.stop) for y, x in slices])
        return np.array([[*corners[row, :2].min(0), *corners[row, 2:].max(0)] for row in self.members]).reshape(-1, 4)

    def mask(self, position: int) -> np.ndarray:
        """Pixels of one proposal: bool `(h, w)`."""
        return np.asarray(self.members[position][self.labels])

    def first(self, count: int) -> Proposals:
        """The first `count`."""
        return self.taken(np.arange(min(count, len(self))))

    def taken(self, positions: np.ndarray) -> Proposals:
        """Those at the positions, in that order; or where a mask `(proposals,)` is True."""
        scores = None if self.scores is None else self.scores[positions]
        return dataclasses.replace(self, members=self.members[positions], scores=scores)

    def compact(self) -> Proposals:
        """The same proposals, of fewer and larger regions: connected ones that no proposal divides become one."""
        codes = np.packbits(self.members, axis=0).T
        same = np.unique(codes, axis=0, return_inverse=True)[1].ravel()
        regions = self.members.shape[1]
        joined = self.pairs[same[self.pairs[:, 0]] == same[self.pairs[:, 1]]]
        graph = sparse.coo_array((np.ones(len(joined), bool), joined.T), (regions, regions))
        groups = connected_components(graph, directed=False)[1].astype(np.int32)
        pairs = np.sort(groups[self.pairs], 1)
        pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
        first = np.unique(groups, return_index=True)[1]
        return dataclasses.replace(self, labels=groups[self.labels], members=self.members[:, first], pairs=pairs)

    def overlaps(self) -> np.ndarray:
        """Jaccard index of each two proposals: float32 `(proposals, proposals)`.

        Raises:
            KerasVisionError: more than 20,000 proposals, which take more than 1.6 GB.
        """
        if len(self) > _MOST:
            raise KerasVisionError(f"{len(self)} proposals; overlaps of at most {_MOST} are computed: take `first`.")
        rows = self.members.astype(np.float32)
        shared = (rows * np.bincount(self.labels.ravel(), minlength=rows.shape[1]).astype(np.float32)) @ rows.T
        areas = self.areas.astype(np.float32)
        return np.asarray(shared / (areas[:, None] + areas - shared))

    def without_holes(self) -> Proposals:
        """The same proposals with their holes filled: what they cut off from the image's rim, through pixel sides."""
        rim = np.concatenate([self.labels[0], self.labels[-1], self.labels[:, 0], self.labels[:, -1]])
        regions = self.members.shape[1]
        graph = sparse.coo_array((np.ones(len(self.pairs), bool), self.pairs.T), (regions, regions)).tocsr()
        filled = self.members.copy()
        for row in filled:
            outside = np.flatnonzero(~row)
            groups = connected_components(graph[outside][:, outside], directed=False)[1]
            row[outside[~np.isin(groups, groups[np.isin(outside, rim)])]] = True
        return dataclasses.replace(self, members=filled)

    def distinct(self, overlap: float = 0.95) -> Proposals:
        """Those whose overlap with every earlier one that stays is below `overlap`.

        Raises:
            KerasVisionError: an overlap that is not above 0 and at most 1.
        """
        if not 0 < overlap <= 1:
            raise KerasVisionError(f"overlap={overlap}; accepted: above 0 and at most 1.")
        sizes = np.bincount(self.labels.ravel(), minlength=self.members.shape[1])
        areas, by_area = self.areas, np.argsort(self.areas, kind="stable")
        stays = np.zeros(len(self), bool)
        for i, row in enumerate(self.members):
            least, most = np.searchsorted(areas[by_area], (areas[i] * overlap - 1e-9, areas[i] / overlap + 1e-9))
            near = by_area[least:most]  # others differ too much in area
            near = near[stays[near]]
            shared = self.members[near][:, row] @ sizes[row]
            stays[i] = not (shared >= overlap * (areas[i] + areas[near] - shared) - 1e-9).any()
        return self.taken(stays)

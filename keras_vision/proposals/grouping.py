"""Combinatorial grouping: single regions, pairs, triplets and quadruples of neighbours in a hierarchy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.hierarchy import Hierarchy
from keras_vision.proposals.proposal_set import Proposals

_MEMORY = 1 << 31  # bytes


def group_regions(ucm: Hierarchy, limits: Sequence[int] = (1000, 1000, 1000, 1000)) -> Proposals:
    """Regions of a hierarchy, and connected sets of two, three and four that stand side by side in a segmentation.

    The hierarchy is taken apart from the top. Where a region falls into two, each of them is new, and with it every
    connected set of regions of that moment that holds it but not its other half: with that, the set would be one of
    fewer regions. So each union comes up once, those between strong contours first, and that is their order: by the
    strength at which their newest region appears, falling, then by how many regions are in them.

    Args:
        ucm: of `ultrametric_contour_map`, or aligned and combined ones.
        limits: how many single regions, pairs, triplets and quadruples to take at most; a shorter list has no larger
            sets. The published ones were learned, as points of the Pareto front of number and quality.

    Raises:
        KerasVisionError: no limit or more than four, a negative one, or proposals that take more than 2 GB.

    Source: Pont-Tuset et al., Multiscale Combinatorial Grouping, 2016, section 5; the order of enumeration is described
        in Arbelaez et al., CVPR 2014.
    """
    if not 1 <= len(limits) <= 4 or min(limits) < 0:
        raise KerasVisionError(f"limits={tuple(limits)}; give 1 to 4 numbers of at least 0.")
    sets: list[tuple[float, int, tuple[int, ...]]] = []
    left = list(limits)
    for height, found in _sets(ucm, left):
        for nodes in found:
            if left[len(nodes) - 1] > 0:
                left[len(nodes) - 1] -= 1
                sets.append((-height, len(nodes), nodes))
    sets.sort(key=lambda entry: entry[:2])  # stable
    if len(sets) * len(ucm) > _MEMORY:
        raise KerasVisionError(
            f"{len(sets)} proposals over {len(ucm)} regions take more than 2 GB; lower limits=, or smooth the contours."
        )
    return Proposals(ucm.labels, _members(ucm, [nodes for _, _, nodes in sets]), ucm.pairs)


def _sets(ucm: Hierarchy, left: list[int]) -> Iterator[tuple[float, list[tuple[int, ...]]]]:
    """Height, and new sets of nodes, of each region that falls into two; from the top."""
    n, around = len(ucm), _neighbours_when_joined(ucm)
    now: dict[int, set[int]] = {2 * n - 2: set()}
    yield float(ucm.heights[-1]) if n > 1 else 0.0, [(2 * n - 2,)]
    for k in reversed(range(n - 1)):
        if not any(left):
            return
        for other in now.pop(n + k):
            now[other].discard(n + k)
        halves = ucm.children[k].tolist()
        for half in halves:
            now[half] = set(around[half])
            for other in around[half]:
                now.setdefault(other, set()).add(half)
        largest = max(size for size, room in enumerate(left, 1) if room > 0)
        yield float(ucm.heights[k]), [s for i in (0, 1) for s in _connected(now, halves[i], halves[1 - i], largest)]


def _neighbours_when_joined(ucm: Hierarchy) -> list[set[int]]:
    """Neighbours of each node just before it is joined, as nodes of that moment."""
    around: list[set[int]] = [set() for _ in range(2 * len(ucm) - 1)]
    for a, b in ucm.pairs.tolist():
        around[a].add(b)
        around[b].add(a)
    for k, (a, b) in enumerate(ucm.children.tolist(), len(ucm)):
        around[k] = (around[a] | around[b]) - {a, b}
        for other in around[k]:
            around[other] = (around[other] - {a, b}) | {k}
    return around


def _connected(around: dict[int, set[int]], start: int, without: int, largest: int) -> list[tuple[int, ...]]:
    """Connected sets of up to `largest` nodes that hold `start` but not `without`, by size."""
    found: list[tuple[int, ...]] = [(start,)]
    level = set(found)
    for _ in range(largest - 1):
        level = {
            tuple(sorted((*nodes, other)))
            for nodes in level
            for other in set().union(*(around[node] for node in nodes)) - {*nodes, without}
        }
        found += sorted(level)
    return found


def _members(ucm: Hierarchy, sets: list[tuple[int, ...]]) -> np.ndarray:
    """Leaves of each set of nodes, bool `(sets, leaves)`."""
    start, size = ucm.spans
    rows = np.zeros((len(sets), len(ucm)), bool)
    for row, nodes in zip(rows, sets, strict=True):
        for node in nodes:
            row[start[node] : start[node] + size[node]] = True
    return rows[:, start[: len(ucm)]]

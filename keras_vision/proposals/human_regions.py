"""How well the regions that people drew agree with each other: the human line of the region benchmark."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.region_scores import covered, information, overlap_tables, rand_index, region_numbers


@runtime_checkable
class Segmented(Protocol):
    """Images with regions drawn by people, such as `keras_vision.data.EdgeImages`."""

    def __len__(self) -> int: ...

    def segmentations(self, position: int) -> np.ndarray: ...


Regions = Segmented | Iterable[Any]


@dataclasses.dataclass(frozen=True, eq=False)
class HumanRegions:
    """Scores of people against the other people of each image, mean over the ordered pairs: `(images,)` each.

    Attributes:
        covering: 0 to 1.
        rand: Rand index, 0 to 1.
        variation: variation of information, bits.
        pairs: ordered pairs of people.
    """

    covering: np.ndarray
    rand: np.ndarray
    variation: np.ndarray
    pairs: np.ndarray

    def __repr__(self) -> str:
        means = (f"{name}={getattr(self, name).mean():.3f}" for name in ("covering", "rand", "variation"))
        return f"HumanRegions({', '.join(means)}, images={len(self.pairs)})"


def human_region_consistency(annotations: Regions) -> HumanRegions:
    """Covering, Rand index and variation of information of each person against all others of the image.

    Published for BSDS500, on the 200 test images: covering 0.72, Rand index 0.88, variation 1.17.

    Args:
        annotations: `keras_vision.data.EdgeImages`, or for each image integers `(people, h, w)`.

    Raises:
        KerasVisionError: no image, one that fewer than two people annotated, or other shapes or types.

    Source: Arbelaez, Maire, Fowlkes and Malik, TPAMI 33(5), 2011, Table 2.
    """
    rows = [_agreement(people, position) for position, people in enumerate(segmented(annotations))]
    if not rows:
        raise KerasVisionError("there are no images to evaluate.")
    return HumanRegions(*np.array(rows, float).T)


def segmented(annotations: Regions) -> Iterator[Any]:
    """The regions of each image, decoded when it is its turn."""
    if isinstance(annotations, Segmented):
        return (annotations.segmentations(position) for position in range(len(annotations)))
    return iter(annotations)


def _agreement(people: Any, position: int) -> tuple[float, float, float, int]:
    people = region_numbers(people, f"annotations of image {position}", 3)
    if len(people) < 2:
        raise KerasVisionError(f"one person annotated image {position}; consistency takes two or more.")
    scores = []
    for one, other in itertools.combinations(people, 2):
        (table,) = overlap_tables(one, other)
        both_ways = [covered(t).sum() / t.sum() for t in (table, table.T.tocsr())]
        scores.append((np.mean(both_ways), rand_index(table), information(table)))
    return *np.mean(scores, 0), 2 * len(scores)

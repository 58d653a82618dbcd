"""MCG and SCG: an image to a list of object proposals, by several hierarchies on common regions or by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.alignment import Contours, multiscale_hierarchies
from keras_vision.proposals.contours import gradient_contours
from keras_vision.proposals.grouping import group_regions
from keras_vision.proposals.hierarchy import Hierarchy
from keras_vision.proposals.proposal_set import Proposals
from keras_vision.proposals.ranking import ProposalRanker

LIMITS = (500, 500, 500, 500)  # of singletons, pairs, triplets and quadruples of each hierarchy


def mcg(
    image: Any,
    contours: Contours = gradient_contours,
    *,
    scales: Sequence[float] = (0.5, 1.0, 2.0),
    spectral: float = 0.3,
    limits: Sequence[int] | Sequence[Sequence[int]] = LIMITS,
    ranker: ProposalRanker | None = None,
) -> Proposals:
    """Object proposals of an image by Multiscale Combinatorial Grouping, without holes and without near duplicates.

    Args:
        image, contours, scales, spectral: as of `multiscale_hierarchies`.
        limits: as of `group_regions`, for all hierarchies or for each: one per scale, and the combined one.
        ranker: a trained one gives their order; without it, they come in turns from the hierarchies, those between
            strong contours first.

    Raises:
        KerasVisionError: as `multiscale_hierarchies` and `group_regions` do, or limits for other hierarchies.

    Source: Pont-Tuset et al., Multiscale Combinatorial Grouping, 2016, Figure 2 and section 5.
    """
    return grouped(multiscale_hierarchies(image, scales, contours, spectral=spectral), limits, ranker)


def scg(
    image: Any,
    contours: Contours = gradient_contours,
    *,
    spectral: float = 0.3,
    limits: Sequence[int] = LIMITS,
    ranker: ProposalRanker | None = None,
) -> Proposals:
    """Object proposals by the hierarchy of the image's own size alone: the fast version of `mcg`.

    Args:
        image, contours, spectral, limits, ranker: as of `mcg`.

    Raises:
        KerasVisionError: as there.
    """
    return grouped(multiscale_hierarchies(image, (1.0,), contours, spectral=spectral)[:1], limits, ranker)


def grouped(
    hierarchies: Sequence[Hierarchy],
    limits: Sequence[int] | Sequence[Sequence[int]] = LIMITS,
    ranker: ProposalRanker | None = None,
) -> Proposals:
    """Proposals of hierarchies on common regions, such as those of `multiscale_hierarchies`.

    Args:
        hierarchies: the last gives the contours of the ranker's features.
        limits, ranker: as of `mcg`.

    Raises:
        KerasVisionError: no hierarchies, other leaves, or limits for another number of them.
    """
    if not hierarchies or any(not np.array_equal(ucm.labels, hierarchies[0].labels) for ucm in hierarchies):
        raise KerasVisionError(f"{len(hierarchies)} hierarchies, or of other leaves; align them first.")
    each: Any = limits if np.ndim(limits[0]) else [limits] * len(hierarchies)
    if len(each) != len(hierarchies):
        raise KerasVisionError(f"limits for {len(each)} hierarchies, and there are {len(hierarchies)}.")
    lists = [group_regions(ucm, own) for ucm, own in zip(hierarchies, each, strict=True)]
    turns = np.argsort(np.concatenate([np.arange(len(one)) for one in lists]), kind="stable")
    members = np.concatenate([one.members for one in lists])[turns]
    found = dataclasses.replace(lists[0], members=members).compact().without_holes().distinct()
    return found if ranker is None else ranker.rank(found, hierarchies[-1].contours())

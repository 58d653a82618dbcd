"""Hierarchies of several scales on common regions, and the one that combines them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from skimage.transform import resize

from keras_vision.errors import KerasVisionError
from keras_vision.proposals.arcs import Arcs
from keras_vision.proposals.contours import colours, gradient_contours
from keras_vision.proposals.hierarchy import Hierarchy, joining_heights, merged, ultrametric_contour_map
from keras_vision.proposals.spectral import globalized

Contours = Callable[[np.ndarray], Any]


def align(ucm: Hierarchy, fine: Hierarchy) -> Hierarchy:
    """A hierarchy moved onto the leaves of another: the same regions, bordered where the other's are.

    Each leaf of `fine` starts at the root of `ucm` and goes down to the half that holds more of its pixels, the first
    of equals, until it is in one leaf. So projections of all thresholds are nested. Neighbouring leaves then join at
    the strength at which the leaves that they came to do.

    Args:
        ucm: the hierarchy to move; its labels are enlarged or reduced to the size of `fine`'s (nearest pixel).
        fine: the hierarchy whose leaves are taken.

    Source: Pont-Tuset et al., Multiscale Combinatorial Grouping, 2016, section 3.3 (projection of segmentations).
    """
    return merged(_arcs(fine, joining_heights(ucm, _descended(ucm, fine)[fine.pairs])))


def combine(hierarchies: Sequence[Hierarchy]) -> Hierarchy:
    """One hierarchy of several on common leaves: borders as strong as on average, and joined once more.

    Args:
        hierarchies: of `align`, all with the same leaves.

    Raises:
        KerasVisionError: none, or other leaves.

    Source: Pont-Tuset et al., 2016, section 3.3; uniform weights.
    """
    if not hierarchies:
        raise KerasVisionError("there are no hierarchies to combine.")
    first = hierarchies[0]
    for position, other in enumerate(hierarchies):
        if not np.array_equal(other.labels, first.labels):
            raise KerasVisionError(f"hierarchy {position} has other leaves than the first; align them first.")
    return merged(_arcs(first, np.mean([joining_heights(ucm, first.pairs) for ucm in hierarchies], 0)))


def multiscale_hierarchies(
    image: Any,
    scales: Sequence[float] = (0.5, 1.0, 2.0),
    contours: Contours = gradient_contours,
    *,
    spectral: float = 0.0,
) -> list[Hierarchy]:
    """Hierarchies of an image at several sizes on common regions, and at last the one that combines them.

    Contours found in an enlarged image are reduced to the image's own size before the watershed (a deviation, at a
    quarter of its time); those of a smaller image are joined at their size. The regions of the largest scale are
    common to all.

    Args:
        image: uint8, or 0 to 1, of `(h, w)`, `(h, w, 1)` or `(h, w, 3)`.
        scales: factors on the image's sides, rising.
        contours: takes floats from 0 to 1 `(h, w, 3)`, gives strengths from 0 to 1, `(h, w)` or by orientation; for
            instance `network_contours` of a trained `edges.HED`.
        spectral: weight of the contours of normalised cuts at each scale, as of `globalized`; 0: none are computed.

    Returns:
        One hierarchy for each scale, and the combined one: `len(scales) + 1`.

    Raises:
        KerasVisionError: another image, scales that do not rise or are not above 0, or contours of another size.

    Source: Pont-Tuset et al., 2016, Figure 2.
    """
    pixels = colours(image)
    if not len(scales) or not scales[0] > 0 or not all(np.diff(scales) > 0):
        raise KerasVisionError(f"scales={tuple(scales)}; give rising factors above 0.")
    if not (megapixels := scales[-1] ** 2 * pixels[..., 0].size / 1e6) <= 16:
        raise KerasVisionError(
            f"{megapixels:.1f} megapixels at a scale of {scales[-1]}; at most 16: use lower scales=."
        )
    maps = [_contours(pixels, scale, contours, spectral) for scale in scales]
    single = [ultrametric_contour_map(planes) for planes in maps]
    aligned = [align(ucm, single[-1]) for ucm in single[:-1]] + [single[-1]]
    return [*aligned, combine(aligned)]


def multiscale_contours(
    image: Any,
    contours: Contours = gradient_contours,
    *,
    scales: Sequence[float] = (0.5, 1.0, 2.0),
    spectral: float = 0.3,
) -> Hierarchy:
    """The multiscale ultrametric contour map of an image: the last of `multiscale_hierarchies`, globalised.

    Its `contours()` are a boundary map, and `segment` cuts it.

    Args:
        image, contours, scales, spectral: as of `multiscale_hierarchies`.

    Raises:
        KerasVisionError: as there.

    Source: Pont-Tuset et al., 2016, section 3.
    """
    return multiscale_hierarchies(image, scales, contours, spectral=spectral)[-1]


def single_scale_contours(image: Any, contours: Contours = gradient_contours, *, spectral: float = 0.3) -> Hierarchy:
    """The ultrametric contour map of an image at its own size: what SCG groups.

    Args:
        image, contours, spectral: as of `multiscale_hierarchies`.

    Raises:
        KerasVisionError: as there.

    Source: Pont-Tuset et al., 2016, section 3.2.
    """
    return multiscale_hierarchies(image, (1.0,), contours, spectral=spectral)[0]


def _contours(pixels: np.ndarray, scale: float, contours: Contours, spectral: float) -> np.ndarray:
    """Contours of the image at a scale, `(orientations, h, w)`, at most as large as the image."""
    size = tuple(max(1, round(side * scale)) for side in pixels.shape[:2])
    planes = globalized(contours(np.clip(resize(pixels, size, anti_aliasing=scale < 1), 0, 1)), spectral)
    if planes.shape[1:] != size:
        raise KerasVisionError(f"contours of {planes.shape[1:]} pixels for an image of {size}; they must agree.")
    if scale <= 1:
        return planes
    return np.stack([np.clip(resize(plane, pixels.shape[:2], anti_aliasing=True), 0, 1) for plane in planes])


def _arcs(fine: Hierarchy, heights: np.ndarray) -> Arcs:
    """Borders between leaves, with strengths in place of the contours'."""
    n = len(fine)
    touching = []
    for one, other in ((fine.labels[:, :-1], fine.labels[:, 1:]), (fine.labels[:-1], fine.labels[1:])):
        low, high = np.sort([one[one != other], other[one != other]], 0).astype(np.int64)
        touching.append(low * n + high)
    length = np.unique(np.concatenate(touching), return_counts=True)[1]  # sorted, as the pairs are
    return Arcs(fine.labels, fine.pairs, length, heights * length)


def _descended(ucm: Hierarchy, fine: Hierarchy) -> np.ndarray:
    """Leaf of `ucm` that each leaf of `fine` comes to, `(leaves,)`."""
    height, width = fine.labels.shape
    source = np.asarray(Image.fromarray(ucm.labels).resize((width, height), Image.Resampling.NEAREST))
    n, (start, size) = len(ucm), ucm.spans
    pixels = np.sort(fine.labels.ravel().astype(np.int64) * n + start[source.ravel()])  # by leaf, in the tree's order

    def inside(leaves: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        first = leaves * n + start[nodes]
        return np.searchsorted(pixels, first + size[nodes]) - np.searchsorted(pixels, first)

    at = np.full(len(fine), 2 * n - 2)
    moving = np.arange(len(fine))[at >= n]
    while len(moving):
        one, other = ucm.children[at[moving] - n].T
        at[moving] = np.where(inside(moving, one) >= inside(moving, other), one, other)
        moving = moving[at[moving] >= n]
    return at

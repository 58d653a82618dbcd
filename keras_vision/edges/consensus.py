"""Labels to train on, out of what several people drew."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_vision.edges.inputs import drawn_maps
from keras_vision.errors import KerasVisionError

EDGE, NONE = np.uint8(1), np.uint8(0)


def consensus(boundaries: Any, agree: int = 3, ignore: int = 2) -> np.ndarray:
    """1 where at least `agree` people drew a boundary, 0 where nobody did, `ignore` between: uint8 `(h, w)`.

    HED's paper takes boundaries of at least three people as edges and all other pixels, those between included, as no
    edge: that is `ignore=0`. Leaving out what is between, as here by default, is what its successors do (RCF).

    Args:
        boundaries: bool, or 0 and 1, `(people, h, w)`.
        agree: people. With fewer than that in an image it has no edges: an error, not an empty map.
        ignore: label of pixels that one or more, but fewer than `agree`, people drew; 0 to 255.

    Raises:
        KerasVisionError: nobody, fewer people than must agree, other values, or settings out of range.

    Source: Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015, on consensus sampling.
    """
    votes = drawn_maps(boundaries, "boundaries").sum(0)
    if not 1 <= agree <= len(boundaries):
        raise KerasVisionError(f"agree={agree} of {len(boundaries)} people; give 1 to {len(boundaries)}.")
    return np.where(votes >= agree, EDGE, np.where(votes > 0, _label(ignore), NONE))


def share_consensus(share: Any, edge: float = 0.5, nobody: float = 0.0, ignore: int = 2) -> Any:
    """1 where the share of people who drew a boundary is at least `edge`, 0 up to `nobody`, `ignore` between: uint8.

    For targets of `keras_vision.data.Pipeline`, which gives shares, as the number of people differs between images. For
    images that five or six people annotated, most of BSDS500, half of the people are three, as in `consensus`; of four
    people it is two, of seven four. The pipeline resizes and turns shares bilinearly, so that a line of one pixel may
    come out wider and weaker: `edge` then also says how much of its weight a pixel must keep, and `nobody` above 0
    takes faint remainders as no edge.

    Args:
        share: 0 to 1, any shape: an array, or a tensor of the Keras backend (also inside `tf.data`).
        edge: least share of an edge, above `nobody`, at most 1.
        nobody: greatest share of no edge, at least 0.
        ignore: label between; 0 to 255.

    Returns:
        uint8 of the shape of `share`: an array of an array, else a tensor.

    Raises:
        KerasVisionError: settings out of range.

    Source: the annotator-robust loss of RCF (Liu et al., Richer Convolutional Features for Edge Detection, CVPR 2017),
        where the least share is a setting.
    """
    if not 0 <= nobody < edge <= 1:
        raise KerasVisionError(f"edge={edge}, nobody={nobody}; accepted: 0 <= nobody < edge <= 1.")
    between = _label(ignore)
    if isinstance(share, np.ndarray):
        return np.where(share >= edge, EDGE, np.where(share > nobody, between, NONE))
    from keras import ops  # arrays need no Keras

    return ops.where(share >= edge, EDGE, ops.where(share > nobody, between, NONE))


def _label(ignore: int) -> np.uint8:
    if not 0 <= ignore <= 255 or ignore == 1:
        raise KerasVisionError(f"ignore={ignore}; give a label from 0 to 255 other than 1, which means an edge.")
    return np.uint8(ignore)

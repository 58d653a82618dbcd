"""Ranking of proposals: a random forest says how well each fits some object, and the first shall differ."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file
from keras_vision.proposals.proposal_set import Proposals
from keras_vision.proposals.shape_features import FEATURES, proposal_features

_ARRAYS = ("roots", "left", "right", "feature", "threshold", "value")


@dataclasses.dataclass(frozen=True, eq=False)
class ProposalRanker:
    """A random forest that expects of a proposal's features its overlap with the best fitting object.

    The trees are plain arrays, so that a file of them holds no code. A node whose `left` is -1 is a leaf.

    Attributes:
        roots: first node of each tree, `(trees,)`.
        left, right: nodes that follow where the feature is at most the threshold, or above it, `(nodes,)`.
        feature, threshold: `(nodes,)`.
        value: what a leaf expects, `(nodes,)`.
    """

    roots: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray

    @classmethod
    def fit(
        cls, features: Sequence[np.ndarray], overlaps: Sequence[np.ndarray], *, trees: int = 50, seed: int = 0
    ) -> ProposalRanker:
        """Trains scikit-learn's random forest.

        Args:
            features: of each training image, of `proposal_features`: `(proposals, 18)`.
            overlaps: likewise, of `proposal_overlaps`: `(proposals, objects)`. Images without objects teach 0.
            trees: how many; leaves hold at least 5 proposals, and each split looks at a third of the features.
            seed: the same seed gives the same forest.

        Raises:
            KerasVisionError: numbers that differ, no proposals, or values that are not finite.

        Source: Pont-Tuset et al., 2016, section 5.3; the settings are not published.
        """
        if len(features) != len(overlaps) or any(len(f) != len(o) for f, o in zip(features, overlaps, strict=True)):
            raise KerasVisionError("features and overlaps differ in images or proposals; give one row of each.")
        rows = _checked(np.concatenate([np.zeros((0, len(FEATURES)), np.float32), *features]))
        if not len(rows) or trees < 1:
            raise KerasVisionError(f"{len(rows)} proposals to learn from, trees={trees}; give at least one of both.")
        target = np.concatenate([np.asarray(each).max(1, initial=0) for each in overlaps])
        forest = RandomForestRegressor(trees, min_samples_leaf=5, max_features=1 / 3, random_state=seed)
        parts = [each.tree_ for each in forest.fit(rows, target).estimators_]
        roots = np.cumsum([0, *(part.node_count for part in parts[:-1])])

        def nodes(name: str) -> np.ndarray:
            found = [getattr(part, name) for part in parts]
            return np.concatenate([np.where(n < 0, -1, n + root) for n, root in zip(found, roots, strict=True)])

        feature, threshold = (np.concatenate([getattr(p, name) for p in parts]) for name in ("feature", "threshold"))
        value = np.concatenate([part.value[:, 0, 0] for part in parts])
        return cls(roots, nodes("children_left"), nodes("children_right"), np.maximum(feature, 0), threshold, value)

    def predict(self, features: Any) -> np.ndarray:
        """Overlap expected of each row of features, mean over trees: `(proposals, 18) -> (proposals,)`.

        Raises:
            KerasVisionError: another number of features, or values that are not finite.
        """
        rows = _checked(features)
        at = np.repeat(self.roots[None], len(rows), 0)
        while (inner := self.left[at] >= 0).any():
            low = np.take_along_axis(rows, self.feature[at], 1) <= self.threshold[at]
            at = np.where(inner, np.where(low, self.left[at], self.right[at]), at)
        return np.asarray(self.value[at].mean(1))

    def rank(self, proposals: Proposals, contours: Any, *, diversity: float = 0.5) -> Proposals:
        """The proposals with their scores, the most promising first, by maximum marginal relevance.

        Args:
            proposals: of one image, at most 20,000.
            contours: of the hierarchy they come from, as of `proposal_features`.
            diversity: as of `marginal_relevance`.

        Raises:
            KerasVisionError: as `proposal_features` and `marginal_relevance` do.
        """
        scores = self.predict(proposal_features(proposals, contours))
        ranked = dataclasses.replace(proposals, scores=scores)
        return ranked.taken(marginal_relevance(scores, proposals.overlaps(), diversity))

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes the arrays as `.npz`.

        Raises:
            KerasVisionError: the file exists and `overwrite` is off, another ending, or it cannot be written.
        """
        if not str(path).endswith(".npz"):
            raise KerasVisionError(f"{path}: a ranker is stored as .npz.")
        with whole_file(path, overwrite) as file:
            np.savez_compressed(file, features=np.array(FEATURES), **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: str | os.PathLike) -> ProposalRanker:
        """Reads what `save` wrote; nothing in the file is executed.

        Raises:
            KerasVisionError: missing, damaged, or no ranker of these features.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                names, arrays = tuple(file["features"].tolist()), {name: file[name] for name in _ARRAYS}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise KerasVisionError(f"{path} is no ranker ({error}); give what ProposalRanker.save wrote.") from error
        if names != FEATURES or not _sound(**arrays):
            raise KerasVisionError(f"{path} holds a damaged ranker, or one of other features; fit it again.")
        return cls(**arrays)


def marginal_relevance(scores: Any, overlaps: Any, diversity: float = 0.5) -> np.ndarray:
    """Order in which each next has the most of its own score and the least overlap with those before: `(n,)`.

    It maximises ``(1 - diversity) * score - diversity * largest overlap with one that was taken``, the first of equals.

    Args:
        scores: `(n,)`, of the scale of the overlaps, 0 to 1.
        overlaps: of each two, `(n, n)`.
        diversity: 0, by score alone, to 1.

    Raises:
        KerasVisionError: other shapes, or a diversity out of range.

    Source: Carbonell and Goldstein, SIGIR 1998; Pont-Tuset et al., 2016, section 5.3.
    """
    scores, overlaps = np.asarray(scores, float), np.asarray(overlaps)
    if overlaps.shape != (*scores.shape, *scores.shape) or scores.ndim != 1 or not 0 <= diversity <= 1:
        raise KerasVisionError(
            f"scores {scores.shape}, overlaps {overlaps.shape}, diversity={diversity}; expected (n,), (n, n), 0 to 1."
        )
    order = np.empty(len(scores), int)
    own, nearest = (1 - diversity) * scores, np.zeros(len(scores))
    for position in range(len(scores)):
        order[position] = best = int((own - diversity * nearest).argmax())
        own[best] = -np.inf
        np.maximum(nearest, overlaps[best], out=nearest)
    return order


def _checked(features: Any) -> np.ndarray:
    rows = np.asarray(features, np.float32)
    if rows.ndim != 2 or rows.shape[1] != len(FEATURES) or not np.isfinite(rows).all():
        raise KerasVisionError(f"features of shape {rows.shape}, or not finite; expected (n, {len(FEATURES)}).")
    return rows


def _sound(roots: Any, left: Any, right: Any, feature: Any, threshold: Any, value: Any) -> bool:
    """Whether every walk through the trees ends, inside the arrays."""
    n = len(left)
    numbers, inner, own = (roots, left, right, feature), left >= 0, np.arange(n)
    return bool(
        n
        and len(roots)
        and all(array.shape == (n,) for array in (left, right, feature, threshold, value))
        and all(array.dtype.kind == "i" for array in numbers)
        and ((roots >= 0) & (roots < n)).all()
        and (np.stack([left, right])[:, inner] > own[inner]).all()  # children follow: no circles
        and (np.stack([left, right]) < n).all()
        and ((feature >= 0) & (feature < len(FEATURES))).all()
        and np.isfinite(value).all()
    )

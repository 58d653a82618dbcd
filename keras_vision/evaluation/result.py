"""What an evaluation found: hits, rates with confidence intervals, and each image's best classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import binomtest

from keras_vision.evaluation.protocols import Protocol

TOP = 5
CONFIDENCE = 0.95

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class ImageScore:
    """One image.

    Attributes:
        name: path of its file, or "image 7" for the array at that position.
        label: index of its true class in the models' output.
        rank: place of the true class among all, by probability, from 1.
        classes: indices of the five most probable classes, or of all if there are fewer, best first.
        probabilities: theirs.
    """

    name: str
    label: int
    rank: int
    classes: tuple[int, ...]
    probabilities: tuple[float, ...]

    @classmethod
    def of(cls, name: str, label: int, posterior: np.ndarray) -> ImageScore:
        """From class posteriors `(classes,)`; of equally probable classes the first ranks first."""
        order = np.argsort(-posterior, kind="stable")
        best = order[:TOP]
        rank = int(np.flatnonzero(order == label)[0]) + 1
        return cls(name, int(label), rank, tuple(best.tolist()), tuple(posterior[best].tolist()))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImageScore:
        """The inverse of `dataclasses.asdict`, after JSON has made lists of the tuples."""
        return cls(**{**values, "classes": tuple(values["classes"]), "probabilities": tuple(values["probabilities"])})


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of a model, or of an ensemble, on labelled images.

    Attributes:
        models: names on the models' cards.
        protocol: the views of each image.
        classes: number of classes.
        images: each image that could be read.
        skipped: files left out, with the reason. They count neither as hits nor as misses.
    """

    models: tuple[str, ...]
    protocol: Protocol
    classes: int
    images: tuple[ImageScore, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def n(self) -> int:
        """Number of images scored."""
        return len(self.images)

    def hits(self, k: int) -> int:
        """Number of images whose class is among the `k` most probable."""
        return sum(image.rank <= k for image in self.images)

    @property
    def top1(self) -> float:
        """Fraction of images whose most probable class is the true one."""
        return self.hits(1) / self.n

    @property
    def top5(self) -> float | None:
        """Fraction of images whose class is among the five most probable; None with fewer than five classes."""
        return None if self.classes < TOP else self.hits(TOP) / self.n

    @property
    def top1_interval(self) -> Interval:
        """Wilson's interval of `top1` at 95 % confidence."""
        return wilson(self.hits(1), self.n)

    @property
    def top5_interval(self) -> Interval | None:
        """Wilson's interval of `top5` at 95 % confidence; None with fewer than five classes."""
        return None if self.classes < TOP else wilson(self.hits(TOP), self.n)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values: rates, intervals, and every image."""
        return {
            "models": list(self.models),
            "protocol": self.protocol.to_dict(),
            "views": self.protocol.count,
            "classes": self.classes,
            "n": self.n,
            "hits1": self.hits(1),
            "hits5": None if self.classes < TOP else self.hits(TOP),
            "top1": self.top1,
            "top5": self.top5,
            "top1_interval": self.top1_interval,
            "top5_interval": self.top5_interval,
            "images": [dataclasses.asdict(image) for image in self.images],
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
        }


def wilson(hits: int, n: int) -> Interval:
    """Confidence interval of a proportion by Wilson's score, without continuity correction (Wilson, 1927)."""
    low, high = binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(low), float(high)

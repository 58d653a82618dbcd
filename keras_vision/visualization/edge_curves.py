"""Precision-recall curves of the boundary benchmark (Arbelaez et al., TPAMI 2011)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEVELS = np.arange(1, 10) / 10  # of F


class Best(Protocol):
    """The best point of a curve."""

    @property
    def f(self) -> float: ...

    @property
    def precision(self) -> float: ...

    @property
    def recall(self) -> float: ...


class Curve(Protocol):
    """Precision and recall at each threshold, `(k,)`, and the best point: `keras_vision.edges.BoundaryScores`."""

    @property
    def precision(self) -> np.ndarray: ...

    @property
    def recall(self) -> np.ndarray: ...

    @property
    def best(self) -> Best: ...


def boundary_curves(curves: Mapping[str, Curve], *, human: Best | None = None) -> Figure:
    """Precision over recall of one or several detectors, over lines of equal F, with the human point.

    A dot marks the best point of a curve, whose F (ODS) stands in the legend. Thresholds at which nothing is detected
    are left out. Both axes go from 0 to 1.

    Args:
        curves: what `keras_vision.edges.evaluate_boundaries` returned, by the name to show; the best stand first.
        human: what `keras_vision.edges.human_consistency` returned.

    Returns:
        A matplotlib figure; `.savefig("curves.png")` writes it.

    Raises:
        KerasVisionError: no curves.
    """
    from matplotlib.figure import Figure

    if not isinstance(curves, Mapping) or not curves:
        raise KerasVisionError("boundary_curves takes scores by name, such as {'HED': scores}; there are none.")
    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    axes = figure.subplots()
    _draw_levels(axes)
    if human is not None:
        axes.plot(human.recall, human.precision, "o", color="green", zorder=3, label=f"[F = {human.f:.3f}] human")
    for name, curve in sorted(curves.items(), key=lambda named: -named[1].best.f):
        there = curve.precision + curve.recall > 0
        line = axes.plot(curve.recall[there], curve.precision[there], label=f"[F = {curve.best.f:.3f}] {name}")[0]
        axes.plot(curve.best.recall, curve.best.precision, "o", color=line.get_color(), markersize=5)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall", ylabel="precision", aspect="equal")
    axes.legend(loc="lower left", fontsize=9)
    return figure


def _draw_levels(axes: Axes | Any) -> None:
    """Lines of equal F, `precision = F recall / (2 recall - F)`, with F on the right, where recall is 1."""
    for level in _LEVELS:
        recall = np.linspace(level / (2 - level), 1, 200)  # the precision is 1 at the first
        axes.plot(recall, level * recall / (2 * recall - level), color="0.85", linewidth=0.8, zorder=0)
        height = level / (2 - level)
        axes.annotate(
            f"{level:.1f}", (1, height), (3, 0), textcoords="offset points", fontsize=7, va="center", color="0.5"
        )

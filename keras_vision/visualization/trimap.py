"""Quality of segmentations near objects' borders (DeepLab, Figure 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {"pixel_accuracy": "pixel accuracy (%)", "mean_iu": "mean IU (%)"}


def trimap_curves(curves: Mapping[str, Any]) -> Figure:
    """Pixel accuracy and mean IU by the width of the band, one line for each model.

    Args:
        curves: by the model's name, what `evaluation.trimap_curve` gives.

    Returns:
        A matplotlib figure of two diagrams; `.savefig("trimap.png")` writes it.

    Raises:
        KerasVisionError: no curves, or curves around different things.
    """
    from matplotlib.figure import Figure

    kinds = {curve.around for curve in curves.values()}
    if len(kinds) != 1:
        raise KerasVisionError(f"{len(curves)} curves around {sorted(kinds)}; give at least one, all around the same.")
    what = "void pixels" if kinds == {"void"} else "class boundaries"
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    for axes, (score, title) in zip(figure.subplots(1, 2), _TITLES.items(), strict=True):
        for name, curve in curves.items():
            axes.plot(
                curve.widths, 100 * getattr(curve, score), label=name, marker="." if len(curve.widths) < 15 else ""
            )
        axes.set_ylabel(title)
        axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    figure.supxlabel(f"width of the band around {what} (pixels)", fontsize=10)
    return figure

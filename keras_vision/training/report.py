"""The one-page HTML report of a training run: self-contained, pictures embedded."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import ConfusionMatrixDisplay, classification_report

from keras_vision.data import LabelledImages
from keras_vision.files import whole_file
from keras_vision.runtime import open_image

if TYPE_CHECKING:
    from keras_vision.training.outcome import Outcome

MISTAKES = 12
_TILE = 112  # pixels

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1 {{ font-size: 1.5rem }} h2 {{ font-size: 1.1rem; margin-top: 2rem }}
table {{ border-collapse: collapse }} td, th {{ padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }}
td + td {{ font-variant-numeric: tabular-nums }} tr + tr {{ border-top: 1px solid #ddd }}
figure {{ display: inline-block; margin: 0 .8rem .8rem 0; width: {tile}px; vertical-align: top; font-size: .8rem }}
figure img {{ width: {tile}px; height: {tile}px; object-fit: contain; background: #eee }}
.chart {{ max-width: 100% }} pre {{ font-size: .8rem; overflow-x: auto }}
</style></head><body>
<h1>{title}</h1>
<h2>Held-out images</h2>{results}
<h2>Curves</h2><img class="chart" alt="loss and accuracy by epoch" src="{curves}">
<h2>Confusion matrix</h2><img class="chart" alt="confusion matrix" src="{confusion}">
<h2>Worst mistakes</h2>{mistakes}
<h2>Per class</h2><pre>{per_class}</pre>
<h2>Settings</h2>{settings}
{skipped}
</body></html>
"""


def write_report(
    path: Path,
    settings: Mapping[str, Any],
    outcome: Outcome,
    history: Sequence[Mapping[str, float]],
    test: LabelledImages,
    probabilities: np.ndarray,
) -> None:
    """Write the report.

    Args:
        path: file to write, replaced if there.
        settings: of the run, printed as a table.
        outcome: what was measured.
        history: metrics of each epoch.
        test: held-out images.
        probabilities: of the LiteRT file on them, `(n, classes)`.
    """
    predicted = probabilities.argmax(axis=1)
    names = test.class_names
    page = _PAGE.format(
        title=html.escape(f"{settings['model']} on {Path(settings['data']).name}"),
        tile=_TILE,
        results=_table(_results(outcome)),
        curves=_curves(history, outcome.best_epoch),
        confusion=_confusion(test.labels, predicted, names),
        mistakes=_mistakes(test, probabilities),
        per_class=html.escape(
            classification_report(test.labels, predicted, labels=range(len(names)), target_names=names, zero_division=0)
        ),
        settings=_table(settings.items()),
        skipped=_skipped(test.skipped),
    )
    with whole_file(path, overwrite=True) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _results(outcome: Outcome) -> list[tuple[str, str]]:
    parity = outcome.parity
    return [
        ("Images, not used in training or in choosing the epoch", str(outcome.test_images)),
        ("Accuracy, Keras model", f"{outcome.accuracy:.2%}"),
        ("Accuracy, LiteRT file", f"{outcome.litert_accuracy:.2%}"),
        ("Same class from both", f"{outcome.agreement:.2%}"),
        ("Largest difference of outputs (allowed)", f"{parity.max_difference:.1e} ({parity.bound:.1e})"),
        ("Size of the LiteRT file", f"{outcome.litert_bytes / 1e6:.2f} MB"),
        ("Latency of one image on this machine", f"{outcome.latency_ms:.1f} ms"),
        ("Epoch kept", str(outcome.best_epoch)),
        ("Training time", f"{outcome.training_seconds:.0f} s"),
    ]


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    cells = (f"<tr><td>{html.escape(str(k))}</td><td>{html.escape(str(v))}</td></tr>" for k, v in rows)
    return f"<table>{''.join(cells)}</table>"


def _curves(history: Sequence[Mapping[str, float]], best_epoch: int) -> str:
    figure = Figure(figsize=(9, 3), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [logs[metric] for logs in history], label="training")
        axes.plot(epochs, [logs[f"val_{metric}"] for logs in history], label="validation")
        axes.axvline(best_epoch, color="gray", linewidth=0.8, linestyle="--", label="kept")
        axes.set(xlabel="epoch", ylabel=metric)
        axes.grid(alpha=0.3)
    axes.legend()
    return _embed(figure)


def _confusion(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> str:
    side = min(max(4.0, 0.4 * len(names)), 14.0)
    figure = Figure(figsize=(side, side), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        labels,
        predicted,
        labels=range(len(names)),
        display_labels=names,
        include_values=len(names) <= 30,
        xticks_rotation="vertical",
        cmap="Blues",
        colorbar=False,
        ax=figure.subplots(),
    )
    return _embed(figure)


def _mistakes(test: LabelledImages, probabilities: np.ndarray) -> str:
    """The images whose true class got the lowest probability, among those classified wrongly."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != test.labels)
    if not wrong.size:
        return "<p>None.</p>"
    worst = wrong[np.argsort(probabilities[wrong, test.labels[wrong]])][:MISTAKES]
    tiles = []
    for i in worst:
        image = open_image(test.sources[i])
        image.thumbnail((2 * _TILE, 2 * _TILE))
        guess = int(probabilities[i].argmax())
        caption = (
            f"{test.class_names[test.labels[i]]}, taken for {test.class_names[guess]} ({probabilities[i, guess]:.0%})"
        )
        tiles.append(
            f'<figure><img alt="" src="{_embed(image)}"><figcaption>{html.escape(caption)}</figcaption></figure>'
        )
    return "".join(tiles)


def _skipped(skipped: Sequence[tuple[str, str]]) -> str:
    return f"<h2>Skipped files</h2>{_table(skipped)}" if skipped else ""


def _embed(picture: Figure | Image.Image) -> str:
    stream = io.BytesIO()
    if isinstance(picture, Figure):
        FigureCanvasAgg(picture).print_figure(stream, dpi=110)
    else:
        picture.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"

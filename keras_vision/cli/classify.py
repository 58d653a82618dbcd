"""`keras-vision classify`: the most probable classes of photographs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from keras_vision.cli.loading import DEFAULT, load_model, read_labels
from keras_vision.errors import ImageError, KerasVisionError

if TYPE_CHECKING:
    from keras_vision.registry import ModelCard
    from keras_vision.runtime import Prediction

Classifier = Callable[[Path], "list[Prediction]"]


def classify(
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.", show_default=False)],
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="A .tflite or .keras file, a folder that `train` wrote, or a model's name."),
    ],
    weights: Annotated[str, typer.Option(help="With a model's name: a weight file, or a name of its card.")] = DEFAULT,
    labels: Annotated[Path | None, typer.Option(help="File of class names, one per line.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes to show for each image.")] = 5,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a .tflite file. Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Classify photographs. Files that cannot be read are listed with the reason."""
    from keras_vision.runtime import list_images

    files = list(list_images(images))
    if not files:
        raise KerasVisionError(f"no images in {', '.join(map(str, images))}.")
    classifier = _classifier(model, weights, read_labels(labels), top, threads)
    results: list[tuple[Path, list[Prediction]]] = []
    skipped: list[tuple[Path, str]] = []
    console = Console(stderr=True)
    for file in track(files, "Classifying", console=console, transient=True, disable=as_json or len(files) < 10):
        try:
            results.append((file, classifier(file)))
        except ImageError as error:
            skipped.append((file, error.reason))
    _print_json(results, skipped) if as_json else _print_table(results, skipped)
    if not results:
        raise typer.Exit(1)


def _classifier(model: str, weights: str, labels: list[str] | None, top: int, threads: int | None) -> Classifier:
    path = Path(model)
    if (path / "model.tflite").is_file():
        path = path / "model.tflite"
    if path.suffix != ".tflite":
        return _keras_classifier(model, weights, labels, top)
    from keras_vision.runtime import Predictor

    predictor = Predictor(path, threads=threads, labels=labels)
    return lambda file: predictor.classify(file, top)


def _keras_classifier(name: str, weights: str, labels: Sequence[str] | None, top: int) -> Classifier:
    from keras_vision.runtime import open_image
    from keras_vision.runtime.predictor import softmax, top_predictions

    model = load_model(name, weights)
    if model.card.output == "features":
        raise KerasVisionError(f"{name} gives feature maps, not classes.")
    if model.card.task != "classification":
        raise KerasVisionError(f"{name} is a network for {model.card.task}, which has no one class for an image.")
    classes = model.outputs[0].shape[-1]
    names = labels or model.labels or _imagenet_labels(model.card, classes)
    if names is not None and len(names) != classes:
        raise KerasVisionError(f"{len(names)} labels for the {classes} classes of {name}.")

    def run(file: Path) -> list[Prediction]:
        outputs = model.predict_on_batch(model.preprocessing(open_image(file))[None])
        scores = (outputs[0] if isinstance(outputs, list) else outputs)[0]
        return top_predictions(softmax(scores) if model.card.output == "logit" else scores, names, top)

    return run


def _imagenet_labels(card: ModelCard, classes: int) -> list[str] | None:
    """ImageNet's names for a model with public weights; numbers and a note if they cannot be fetched."""
    if classes != 1000 or card.loaded not in {name for file in card.weights for name in (file.source, file.file)}:
        return None
    import numpy as np

    from keras_vision.applications.squeezenet import decode_predictions

    try:
        ranked = decode_predictions(np.arange(1000, 0, -1.0)[None], top=1000)[0]
    except KerasVisionError as error:
        typer.echo(f"note: classes are shown by number, --labels FILE names them: {error}", err=True)
        return None
    return [name for _, name, _ in ranked]


def _print_json(results: list[tuple[Path, list[Prediction]]], skipped: list[tuple[Path, str]]) -> None:
    import dataclasses

    document = {
        "results": [{"file": str(f), "predictions": [dataclasses.asdict(p) for p in found]} for f, found in results],
        "skipped": [{"file": str(f), "reason": reason} for f, reason in skipped],
    }
    typer.echo(json.dumps(document, indent=1))


def _print_table(results: list[tuple[Path, list[Prediction]]], skipped: list[tuple[Path, str]]) -> None:
    console = Console()
    if results:
        table = Table("image", "class", "probability", box=None, header_style="bold", padding=(0, 2, 0, 0))
        for file, found in results:
            for rank, prediction in enumerate(found):
                name = escape(str(file)) if rank == 0 else ""
                table.add_row(name, escape(prediction.label), f"{prediction.probability:.1%}")
        console.print(table)
    if skipped:
        table = Table("skipped", "reason", box=None, header_style="bold", padding=(0, 2, 0, 0))
        for file, reason in skipped:
            table.add_row(escape(str(file)), escape(reason))
        console.print(table)

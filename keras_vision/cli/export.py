"""`keras-vision export`: a model to LiteRT or SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_vision.cli.loading import DEFAULT, load_model, read_labels
from keras_vision.errors import KerasVisionError


def export(
    model: Annotated[str, typer.Argument(help="A .keras file, or a model's name.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="A .tflite file, or a folder for a SavedModel.", show_default=False)],
    weights: Annotated[str, typer.Option(help="With a model's name: a weight file, or a name of its card.")] = DEFAULT,
    labels: Annotated[Path | None, typer.Option(help="File of class names, one per line.")] = None,
    preprocessing: Annotated[bool, typer.Option("--preprocessing", help="LiteRT: normalise in the graph.")] = False,
    uint8: Annotated[bool, typer.Option("--uint8", help="LiteRT: take uint8 pixels; implies --preprocessing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Export a model and prove that the file computes what the model computes."""
    litert = out.suffix == ".tflite"
    if not litert and (preprocessing or uint8):
        raise KerasVisionError("--preprocessing and --uint8 are for .tflite files; a SavedModel has both signatures.")
    if out.exists() and not overwrite:
        raise KerasVisionError(f"{out} exists already; pass --overwrite, or choose another path.")
    names = read_labels(labels)
    loaded = load_model(model, weights)
    if names is not None:
        loaded.labels = names
    from keras_vision.export import to_litert, to_saved_model

    if litert:
        parity = to_litert(loaded, out, preprocessing=preprocessing, uint8_input=uint8, overwrite=overwrite)
    else:
        parity = to_saved_model(loaded, out, overwrite=overwrite)
    typer.echo(
        f"{out}: differs from the Keras model by {parity.max_difference:.1e} at most (allowed {parity.bound:.1e})"
    )

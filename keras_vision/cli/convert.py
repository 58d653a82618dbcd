"""`keras-vision models convert`: weights from a file of another package to one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_vision.cli.loading import parse_settings


def convert(
    source: Annotated[Path, typer.Argument(help="Weights: .h5, .pth, .safetensors, .caffemodel, .onnx, .npz …")],
    target: Annotated[Path, typer.Argument(help="File to write: .weights.h5, .keras, .safetensors or .npz.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Name of the model the weights are for.")],
    setting: Annotated[list[str] | None, typer.Option(help="Setting of the model's table, as KEY=VALUE.")] = None,
    reverse_channels: Annotated[
        bool, typer.Option("--reverse-channels", help="Turn a first kernel for BGR images into one for RGB, or back.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the target.")] = False,
) -> None:
    """Load weights strictly into a model and write them in its own names and layout."""
    from keras_vision.weights import reverse_channels as reverse
    from keras_vision.weights import save
    from keras_vision.zoo import create_model

    loaded = create_model(model, weights=source, **parse_settings(setting or []))
    if reverse_channels:
        reverse(loaded)
    save(loaded, target, overwrite)
    spec = loaded.preprocessing
    typer.echo(
        f"{target}: {loaded.card.parameters:,} weights of {loaded.card.name}, {loaded.outputs[0].shape[-1]} classes"
    )
    typer.echo(f"images: {spec.color}, minus {spec.mean}, divided by {spec.std}")

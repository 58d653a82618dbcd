"""What `regions` and `proposals` share: contours as a user names them, and results of a picture and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vision.cli.dense_images import Job
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

Network = Annotated[
    Path | None,
    typer.Option("--model", "-m", help="A .tflite network of edges, or its folder. Default: gradients of colour."),
]
Single = Annotated[bool, typer.Option("--single-scale", help="The image's own size alone (SCG): several times faster.")]
Spectral = Annotated[float, typer.Option(min=0, max=1, help="Weight of the contours of normalised cuts; 0: none.")]


def network(model: Path | None, threads: int | None) -> Any:
    """The function of contours.

    Raises:
        KerasVisionError: scikit-image is missing, or the model is no network of edges.
    """
    try:
        from keras_vision.proposals import gradient_contours, network_contours
    except ImportError as error:
        raise KerasVisionError(
            f"regions need {error.name}, which is not installed: pip install 'keras-vision[proposals]'."
        ) from error
    return gradient_contours if model is None else network_contours(model, threads)


def check_json(jobs: Sequence[Job], overwrite: bool) -> None:
    """Raises where a JSON file would be replaced that has no picture of ours beside it."""
    places = [job.target.with_suffix(".json") for job in jobs]
    foreign = [place for place, job in zip(places, jobs, strict=True) if place.exists() and not job.target.exists()]
    if foreign and not overwrite:
        raise KerasVisionError(f"{foreign[0]} is there already; pass --overwrite, or give another --out.")


def pixels_of(image: Image.Image) -> np.ndarray:
    """RGB pixels, uint8 `(h, w, 3)`."""
    import numpy as np

    return np.asarray(image.convert("RGB"))


def write(job: Job, overlay: np.ndarray, record: dict[str, Any]) -> None:
    """The picture, and the record beside it as JSON."""
    from PIL import Image

    from keras_vision.data.masks import signature
    from keras_vision.files import whole_file

    with whole_file(job.target.with_suffix(".json"), overwrite=True) as file:
        file.write_text(json.dumps({"image": job.source.name, **record}) + "\n")
    with whole_file(job.target, overwrite=True) as file:
        Image.fromarray(overlay).save(file, "PNG", pnginfo=signature())

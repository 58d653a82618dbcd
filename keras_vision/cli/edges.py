"""`keras-vision edges`: the probability of an edge at each pixel of photographs, as grey PNGs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_vision.cli.dense_images import (
    Images,
    Job,
    Model,
    Overwrite,
    Size,
    Threads,
    Tile,
    Weights,
    load_dense,
    plan,
    run,
)
from keras_vision.cli.loading import DEFAULT
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from PIL import Image


def edges(
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the edge maps, named as the photographs.")],
    model: Model,
    weights: Weights = DEFAULT,
    tile: Tile = None,
    size: Size = None,
    thin: Annotated[bool, typer.Option("--thin", help="Keep the ridges alone: lines of one or two pixels.")] = False,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Edges: a grey PNG for each photograph, 0 where there is none and 255 where one is certain.

    A model of fixed input size is applied in tiles of it. Maps of an earlier run are replaced, photographs never.
    """
    jobs, skipped = plan(images, out, overwrite)
    network = load_dense(model, weights, threads)
    if network.maps != 1:
        raise KerasVisionError(
            f"{model} gives {network.maps} maps, and edges are one; for classes there is `keras-vision segment`."
        )

    def work(job: Job, image: Image.Image) -> None:
        import numpy as np
        from PIL import Image as images_of

        from keras_vision.data.masks import signature
        from keras_vision.files import whole_file

        probability = network.predict(image, size, tile)[..., 0].clip(0, 1)
        if thin:
            from keras_vision.edges import suppress_non_maxima

            probability = suppress_non_maxima(probability)
        grey = np.rint(255 * probability).astype(np.uint8)
        with whole_file(job.target, overwrite=True) as file:
            images_of.fromarray(grey).save(file, "PNG", pnginfo=signature())

    run(jobs, skipped, work, "Finding edges")

"""`keras-vision segment`: the class of each pixel of photographs, as palette PNGs."""

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
    beside,
    load_dense,
    plan,
    run,
)
from keras_vision.cli.loading import DEFAULT
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from PIL import Image

OVERLAY = "_overlay"


def segment(
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the masks, named as the photographs.")],
    model: Model,
    weights: Weights = DEFAULT,
    tile: Tile = None,
    size: Size = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw the classes over each photograph.")] = False,
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Classes of all pixels: a palette PNG for each photograph, whose indices are the classes.

    A model of fixed input size is applied in tiles of it. Masks of an earlier run are replaced, photographs never.
    """
    jobs, skipped = plan(images, out, overwrite, (OVERLAY,) if overlay else ())
    network = load_dense(model, weights, threads)
    if not 2 <= network.maps <= 256:
        hint = "for edges there is `keras-vision edges`" if network.maps == 1 else "a palette image has no more"
        raise KerasVisionError(f"{model} gives {network.maps} maps; segmenting takes 2 to 256 classes: {hint}.")
    from keras_vision.data.palettes import class_palette

    colours = class_palette(network.labels)

    def work(job: Job, image: Image.Image) -> None:
        from keras_vision.data import write_mask
        from keras_vision.data.masks import signature
        from keras_vision.files import whole_file
        from keras_vision.visualization import overlay as draw

        labels = network.predict(image, size, tile).argmax(-1)
        if overlay:
            with whole_file(beside(job.target, OVERLAY), overwrite=True) as file:
                draw(image, labels, colours).save(file, "PNG", pnginfo=signature())
        write_mask(job.target, labels, colours, overwrite=True)

    run(jobs, skipped, work, "Segmenting")

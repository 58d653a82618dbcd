"""`keras-vision embed`: a folder of images to a table of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from keras_vision.cli.loading import DEFAULT, load_model
from keras_vision.cli.printing import printable
from keras_vision.cli.progress import counting
from keras_vision.errors import KerasVisionError

MODEL = Annotated[str, typer.Option("--model", "-m", help="A model's name, a .keras file, or a .tflite of features.")]
WEIGHTS = Annotated[str, typer.Option(help="With a model's name: a weight file, or a name of its card.")]
LAYER = Annotated[str | None, typer.Option(help="Layer whose output describes an image. Default: the last but one.")]
POOLING = Annotated[str, typer.Option(help="Of a feature map: avg, max or none.")]
BACKEND = Annotated[str, typer.Option(help="litert or keras.")]
THREADS = Annotated[int | None, typer.Option(min=1, help="Default: all processors.")]
CACHE = Annotated[Path | None, typer.Option(help="Folder of embeddings computed before. Default: the user's.")]
NO_CACHE = Annotated[bool, typer.Option("--no-cache", help="Keep no embeddings, and look for none.")]


def embed(
    images: Annotated[list[Path], typer.Argument(help="Folders of images, or files.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Parquet file to write.", show_default=False)],
    model: MODEL = "SqueezeNetV1_1",
    weights: WEIGHTS = DEFAULT,
    layer: LAYER = None,
    pooling: POOLING = "avg",
    backend: BACKEND = "litert",
    threads: THREADS = None,
    cache: CACHE = None,
    no_cache: NO_CACHE = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Turn images into vectors by a network, for any tool that reads Parquet. Interrupted, the same command goes on."""
    if out.exists() and not overwrite:
        raise KerasVisionError(f"{out} exists already; pass --overwrite, or choose another path.")
    from keras_vision.analytics import ImageEmbedder, walk_images, write_embeddings

    embedder = ImageEmbedder(
        opened(model, weights), layer=layer, pooling=pooling, backend=backend, threads=threads,
        cache=False if no_cache else cache or True,
    ).fit()  # fmt: skip
    console = Console(stderr=True)
    with counting(console, "embedding") as progress:
        parts = embedder.stream(walk_images(images), progress)
        root = images[0] if len(images) == 1 and images[0].is_dir() else None
        written, skipped = write_embeddings(
            parts, out, embedder.n_features, root, embedder.network_name, embedder.network_hash, overwrite
        )
    typer.echo(f"{printable(str(out))}: {written} images, vectors of {embedder.n_features} by {embedder.network_name}")
    if skipped:
        typer.echo(f"{skipped} files could not be read: {printable(str(out.with_name(out.stem + '.skipped.csv')))}")
    if not written:
        raise typer.Exit(1)


def opened(model: str, weights: str) -> object:
    """What `ImageEmbedder(model=...)` takes for `--model` and `--weights`.

    Raises:
        KerasVisionError: no such model.
    """
    if Path(model).suffix == ".tflite":
        if weights != DEFAULT:
            raise KerasVisionError(f"{model} brings its own weights; leave --weights out.")
        return model
    return load_model(model, weights)

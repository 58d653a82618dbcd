"""`keras-vision explore`: a folder of images to one page for the browser."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from keras_vision.cli.embed import BACKEND, CACHE, LAYER, MODEL, NO_CACHE, POOLING, THREADS, WEIGHTS, opened
from keras_vision.cli.loading import DEFAULT
from keras_vision.cli.printing import printable
from keras_vision.cli.progress import counting
from keras_vision.errors import KerasVisionError


def explore(
    folder: Annotated[Path, typer.Argument(help="Folder of images; its subfolders are classes.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Page to write.")] = Path("images.html"),
    model: MODEL = "SqueezeNetV1_1",
    weights: WEIGHTS = DEFAULT,
    layer: LAYER = None,
    pooling: POOLING = "avg",
    backend: BACKEND = "litert",
    threads: THREADS = None,
    cache: CACHE = None,
    no_cache: NO_CACHE = False,
    sample: Annotated[int | None, typer.Option(min=1, help="Show so many images, chosen by chance.")] = None,
    seed: Annotated[int, typer.Option(help="Of the map and of --sample.")] = 0,
    serve: Annotated[bool, typer.Option("--serve", help="Write nothing; show the page at a local address.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --serve. Default: a free one.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page.")] = False,
) -> None:
    """Map, tree, neighbours, classes and mistakes of a folder of images, in one HTML file that needs no network."""
    if not folder.is_dir():
        raise KerasVisionError(f"{folder}: no such folder.")
    if not serve and out.exists() and not overwrite:
        raise KerasVisionError(f"{out} exists already; pass --overwrite, or choose another path.")
    from keras_vision.analytics import ImageEmbedder, label_of, walk_images
    from keras_vision.analytics.exploration import LARGEST, page_data
    from keras_vision.analytics.exploration import explore as explored
    from keras_vision.analytics.pictures import thumbnails
    from keras_vision.analytics.report import page, thumbnail_side, write_page

    paths = list(walk_images([folder]))
    if not paths:
        raise KerasVisionError(f"no images in {folder}.")
    if sample is not None and sample < len(paths):
        paths = [paths[i] for i in sorted(random.Random(seed).sample(range(len(paths)), sample))]
    if len(paths) > LARGEST:
        raise KerasVisionError(f"{folder} holds {len(paths)} images, a page at most {LARGEST}; pass --sample 5000.")
    embedder = ImageEmbedder(
        opened(model, weights), layer=layer, pooling=pooling, backend=backend, threads=threads,
        cache=False if no_cache else cache or True,
    ).fit()  # fmt: skip
    console = Console(stderr=True)
    with counting(console, "embedding", len(paths)) as progress:
        found = embedder.embed(paths, progress)
    labels = [label_of(path, folder) for path in found.paths]
    with console.status("map") as status:
        result = explored(found, labels, folder, seed, status.update)
        status.update("thumbnails")
        pictures = thumbnails(found.paths, thumbnail_side(len(found.paths)), threads)
    data = page_data(result, folder.resolve().name or str(folder), embedder.network_name)
    if serve:
        _serve(page(data, pictures), port)
        return
    size = write_page(out, data, pictures, overwrite)
    typer.echo(f"{printable(str(out))}: {len(found.paths)} images, {size / 1e6:.1f} MB")
    if found.skipped:
        typer.echo(f"{len(found.skipped)} files could not be read; the page lists them")


def _serve(content: str, port: int) -> None:
    from keras_vision.analytics.serve import page_server

    try:
        server = page_server(content, port)
    except OSError as error:
        raise KerasVisionError(
            f"port {port} cannot be used ({error.strerror or error}); pass another --port."
        ) from error
    typer.echo(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        server.server_close()

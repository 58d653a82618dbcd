"""`keras-vision embed`: a folder of images to a table of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from keras_vision.cli.loading import DEFAULT, load_model
from keras_vision.cli.printing import printable
from keras_vision.cli.progress import counting
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.analytics import ImageEmbedder

MODEL = Annotated[str, typer.Option("--model", "-m", help="A model's name, a .keras file, or a .tflite of features.")]
WEIGHTS = Annotated[str, typer.Option(help="With a model's name: a weight file, or a name of its card.")]
LAYER = Annotated[str | None, typer.Option(help="Layer whose output describes an image. Default: the last but one.")]
POOLING = Annotated[str, typer.Option(help="Of a feature map: avg, max or none.")]
BACKEND = Annotated[str, typer.Option(help="litert or keras.")]
THREADS = Annotated[int | None, typer.Option(min=1, help="Default: all processors.")]
CACHE = Annotated[Path | None, typer.Option(help="Folder of embeddings computed before. Default: the user's.")]
NO_CACHE = Annotated[bool, typer.Option("--no-cache", help="Keep no embeddings, and look for none.")]


def embed(
    images: Annotated[list[str], typer.Argument(help="Folders of images, or files.", show_default=False)],
    out: Annotated[str, typer.Argument(help="Parquet file to write.", show_default=False)],
    model: MODEL = "SqueezeNetV1_1",
    weights: WEIGHTS = DEFAULT,
    layer: LAYER = None,
    pooling: POOLING = "avg",
    backend: BACKEND = "litert",
    threads: THREADS = None,
    cache: CACHE = None,
    no_cache: NO_CACHE = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    beam: Annotated[bool, typer.Option("--beam", help="As an Apache Beam pipeline, on a cluster too.")] = False,
    beam_option: Annotated[list[str] | None, typer.Option(help="For Beam, such as runner=FlinkRunner; repeat.")] = None,
) -> None:
    """Turn images into vectors by a network, for any tool that reads Parquet. Interrupted, the same command goes on.

    With --beam, IMAGES is one folder or pattern ("photos/**", "*.tfrecord", "*.parquet"), OUT may end in .tfrecord, and
    both may lie wherever Beam reads and writes. Several files come out; nothing is cached.
    """
    if beam_option and not beam:
        raise KerasVisionError("--beam-option is for --beam; give both.")
    if not beam and Path(out).exists() and not overwrite:
        raise KerasVisionError(f"{out} exists already; pass --overwrite, or choose another path.")
    from keras_vision.analytics import ImageEmbedder

    embedder = ImageEmbedder(
        opened(model, weights), layer=layer, pooling=pooling, backend=backend, threads=threads,
        cache=False if no_cache else cache or True,
    )  # fmt: skip
    if beam:
        written, skipped, aside = _by_beam(images, out, embedder, beam_option or [])
    else:
        written, skipped, aside = _here([Path(path) for path in images], Path(out), embedder, overwrite)
    typer.echo(f"{printable(out)}: {written} images, vectors of {embedder.n_features} by {embedder.network_name}")
    if skipped:
        typer.echo(f"{skipped} files could not be read: {printable(aside)}")
    if not written:
        raise typer.Exit(1)


def _here(images: list[Path], out: Path, embedder: ImageEmbedder, overwrite: bool) -> tuple[int, int, str]:
    """Images embedded, those skipped, and the file that lists them."""
    from keras_vision.analytics import walk_images, write_embeddings

    embedder.fit()
    with counting(Console(stderr=True), "embedding") as progress:
        parts = embedder.stream(walk_images(images), progress)
        root = images[0] if len(images) == 1 and images[0].is_dir() else None
        written, skipped = write_embeddings(
            parts, out, embedder.n_features, root, embedder.network_name, embedder.network_hash, overwrite
        )
    return written, skipped, str(out.with_name(out.stem + ".skipped.csv"))


def _by_beam(images: list[str], out: str, embedder: ImageEmbedder, options: list[str]) -> tuple[int, int, str]:
    """The same by Beam, whose workers read the network from a file beside the results."""
    if len(images) != 1:
        raise KerasVisionError(f"{len(images)} inputs; with --beam give one folder or pattern, such as 'photos/**'.")
    from keras_vision.analytics.beam import embed_files, share_network

    stem = out.removesuffix(Path(out).suffix)
    network = share_network(embedder, stem)
    written, skipped = embed_files(images[0], out, network, [f"--{option.lstrip('-')}" for option in options])
    return written, skipped, f"{stem}.skipped-*.csv"


def opened(model: str, weights: str) -> object:
    """What `ImageEmbedder(model=...)` takes for `--model` and `--weights`.

    Raises:
        KerasVisionError: no such model.
    """
    if Path(model).suffix == ".tflite":
        if weights != DEFAULT:
            raise KerasVisionError(f"{model} brings its own weights; leave --weights out.")
        return model
    if weights == DEFAULT and not Path(model).exists() and Path(model).suffix != ".keras":
        from keras_vision.analytics.opening import public_weights
        from keras_vision.registry import find

        weights = public_weights(find(model))
    return load_model(model, weights)

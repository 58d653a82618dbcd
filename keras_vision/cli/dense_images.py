"""What `segment` and `edges` share: networks of maps as a user names them, and files in and out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from keras_vision.cli.loading import DEFAULT, load_model
from keras_vision.errors import ImageError, KerasVisionError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from keras_vision.model import VisionModel

# What both commands are given.
Images = Annotated[list[Path], typer.Argument(help="Image files, and folders of them.", show_default=False)]
Model = Annotated[
    str,
    typer.Option("--model", "-m", help="A .tflite or .keras file, a folder with one as model, or a model's name."),
]
Weights = Annotated[str, typer.Option(help="With a model's name: a weight file, or a name of its card.")]
Tile = Annotated[int | None, typer.Option(min=64, help="Predict in tiles of this side, for large images.")]
Size = Annotated[
    int | None, typer.Option(min=1, help="Shorter side for the network, in pixels. Default: the image's own.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of a .tflite file. Default: all.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that something else made.")]

Skipped = tuple[Path, str]


@dataclasses.dataclass(frozen=True)
class DenseNetwork:
    """A network that gives maps.

    Attributes:
        name: as the user gave it.
        maps: how many; the classes, or 1 of edges.
        labels: names of the classes, or None.
        predict: an image, the shorter side to resize it to or None, and the side of a tile or None, to probabilities
            `(h, w, maps)` of the image's size.
    """

    name: str
    maps: int
    labels: tuple[str, ...] | None
    predict: Callable[[Image.Image, int | None, int | None], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Job:
    """One photograph and where its result goes."""

    source: Path
    target: Path


def load_dense(model: str, weights: str = DEFAULT, threads: int | None = None) -> DenseNetwork:
    """A network of maps: a `.tflite` or `.keras` file, a folder with `model.tflite`, or a model's name.

    Raises:
        KerasVisionError: none of them, or a network that gives no maps.
    """
    path = Path(model)
    if path.is_dir():
        found = [path / name for name in ("model.tflite", "model.keras") if (path / name).is_file()]
        if not found:
            raise KerasVisionError(f"{model}: a folder without model.tflite and model.keras.")
        path = found[0]
    if path.suffix != ".tflite":
        return _keras_network(load_model(str(path), weights), model)
    if weights != DEFAULT:
        raise KerasVisionError(f"{path} brings its own weights; leave --weights out.")
    from keras_vision.runtime import DensePredictor

    predictor = DensePredictor(path, threads=threads)
    return DenseNetwork(model, predictor.maps, predictor.labels, predictor.predict)


def _keras_network(network: VisionModel, name: str) -> DenseNetwork:
    from keras_vision.runtime.dense import dense_probabilities

    if len(network.outputs) != 1 or len(network.outputs[0].shape) != 4 or network.card.output == "features":
        raise KerasVisionError(
            f"{name} gives {[output.shape for output in network.outputs]}; a network of maps gives one (n, h, w, k)."
        )
    height, width = network.inputs[0].shape[1:3]
    size = None if None in (height, width) else (height, width)

    def scores(x: np.ndarray) -> Any:
        import keras

        try:
            return keras.tree.flatten(network.predict_on_batch(x))[0]
        except Exception as error:  # each backend raises its own kinds on sizes that a network cannot take
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise KerasVisionError(f"the network cannot take an input {x.shape} ({reason})") from error

    def predict(image: Image.Image, shorter: int | None, tile: int | None) -> np.ndarray:
        card = network.card
        return dense_probabilities(
            scores, image, card.preprocessing, card.output, shorter=shorter, tile=tile, size=size
        )

    return DenseNetwork(name, network.outputs[0].shape[-1], network.labels, predict)


def plan(
    images: Iterable[Path], out: Path, overwrite: bool, extras: Sequence[str] = ()
) -> tuple[list[Job], list[Skipped]]:
    """Where each photograph's result goes: under its stem as PNG, with the subfolders of a folder that was given.

    Of folders, PNGs that these commands made are left out. A photograph whose result has another's place is skipped.

    Args:
        images: image files, and folders of them.
        out: folder of the results.
        overwrite: replace files that something else made.
        extras: endings of further files beside each result, such as "_overlay".

    Raises:
        KerasVisionError: no images; a result in the place of a photograph; or of a file that something else made.
    """
    from keras_vision.data.masks import is_ours
    from keras_vision.runtime import list_images

    jobs: list[Job] = []
    taken: dict[Path, Path] = {}  # by the place of a result, the photograph it is of
    skipped: list[Skipped] = []
    for given in images:
        for source in list_images([given]):
            if given.is_dir() and is_ours(source):
                continue
            inside = source.relative_to(given) if given.is_dir() else Path(source.name)
            target = out / inside.with_suffix(".png")
            places = [beside(target, extra) for extra in ("", *extras)]
            if earlier := [taken[place] for place in places if place in taken]:
                skipped.append((source, f"its result has the place of that of {earlier[0]}"))
            else:
                jobs.append(Job(source, target))
                taken.update(dict.fromkeys(places, source))
    if not jobs:
        raise KerasVisionError(f"no images in {', '.join(map(str, images))}.")
    _check_places(list(taken), {job.source.resolve() for job in jobs}, overwrite)
    return jobs, skipped


def _check_places(places: Sequence[Path], sources: set[Path], overwrite: bool) -> None:
    from keras_vision.data.masks import is_ours

    if inputs := [place for place in places if place.resolve() in sources]:
        raise KerasVisionError(f"{inputs[0]} is one of the photographs and would be replaced; give another --out.")
    foreign = [place for place in places if place.exists() and not is_ours(place)]
    if foreign and not overwrite:
        others = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise KerasVisionError(
            f"{foreign[0]}{others}: there already, not made by this command; pass --overwrite, or give another --out."
        )


def beside(target: Path, extra: str) -> Path:
    """A further file of a result: its name with an ending before the suffix."""
    return target.with_stem(target.stem + extra)


def run(jobs: Sequence[Job], skipped: Sequence[Skipped], work: Callable[[Job, Image.Image], None], title: str) -> None:
    """Does the work on each photograph, with progress, and lists what was skipped; exits with 1 if nothing worked."""
    from keras_vision.runtime import open_image

    reasons, done = list(skipped), 0
    for job in track(jobs, title, console=Console(stderr=True), transient=True, disable=len(jobs) < 3):
        try:
            work(job, open_image(job.source))
            done += 1
        except ImageError as error:
            reasons.append((job.source, error.reason))
        except KerasVisionError as error:
            reasons.append((job.source, str(error)))
    if reasons:
        table = Table("skipped", "reason", box=None, header_style="bold", padding=(0, 2, 0, 0))
        for file, reason in reasons:
            table.add_row(escape(str(file)), escape(reason))
        Console().print(table)
    typer.echo(f"{done} of {done + len(reasons)} images written")
    if not done:
        raise typer.Exit(1)

"""`keras-vision caption`: words for photographs, and where each word looks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_vision.cli.printing import printable
from keras_vision.errors import ImageError, KerasVisionError

if TYPE_CHECKING:
    from keras_vision.runtime.captioner import Caption
    from keras_vision.runtime.preprocessing import Preprocessing

SMALL = "show-attend-tell-flickr8k"  # of savedmodels/


def caption(
    images: Annotated[list[Path], typer.Argument(help="Photographs, or folders of them.", show_default=False)],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="A .tflite or .keras file, or a folder of one. Default: the committed one."),
    ] = None,
    beam: Annotated[int, typer.Option("--beam", min=1, help="Captions kept while searching; 1 is greedy.")] = 5,
    longest: Annotated[int, typer.Option(min=1, help="Most words, the end included.")] = 30,
    length_penalty: Annotated[float, typer.Option(min=0.0, help="Above 0, long captions lose less.")] = 0.0,
    explain: Annotated[
        Path | None, typer.Option("--explain", help="Also write where each word looks: an .html page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, with each word's log-probability.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a .tflite file. Default: all.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that is there.")] = False,
) -> None:
    """Say what is in photographs."""
    from keras_vision.runtime.images import list_images

    if explain is not None and explain.suffix.lower() not in (".html", ".htm"):
        raise KerasVisionError(f"{explain}: give an .html file.")
    if explain is not None and explain.exists() and not overwrite:
        raise KerasVisionError(f"{explain} exists already; pass --overwrite, or choose another path.")
    paths = list(list_images(images))
    if not paths:
        raise KerasVisionError(f"no images in {', '.join(map(str, images))}.")
    say, spec = speaker(model_file(model), beam, longest, length_penalty, threads)
    told, failed = [], 0
    for path in paths:
        try:
            found = say(path)
        except ImageError as error:
            failed += 1
            typer.echo(printable(f"skipped: {error}"), err=True)
            continue
        typer.echo(_line(path, found, as_json))
        told.append((str(path), path, found.words, found.attention))
    if explain is not None and told:
        from keras_vision.visualization.attention_maps import attention_page

        attention_page(told, spec, explain, overwrite=overwrite)
        typer.echo(f"page: {explain}", err=as_json)
    if failed:
        raise KerasVisionError(f"{failed} of {len(paths)} images could not be read.")


def _line(path: Path, found: Caption, as_json: bool) -> str:
    if not as_json:
        return printable(f"{path}: {' '.join(found.words)}")
    record = dict(
        image=str(path), caption=" ".join(found.words), score=found.score, words=found.words,
        log_p=[round(float(value), 4) for value in found.log_p],
    )  # fmt: skip
    return json.dumps(record)


def model_file(model: Path | None) -> Path:
    """The file that is meant: of a folder its LiteRT file, or its Keras file.

    Raises:
        KerasVisionError: there is none.
    """
    path = model or Path(__file__).parents[2] / "savedmodels" / SMALL
    if path.is_dir():
        path = next((path / name for name in ("model.tflite", "model.keras") if (path / name).is_file()), path)
    if not path.is_file():
        trained = "train one with `keras-vision recipes run show-attend-tell-small`, and give --model its folder"
        raise KerasVisionError(
            f"{path}: no model. " + ("Give a .tflite or .keras file." if model else f"Here, {trained}.")
        )
    return path


def speaker(
    path: Path, beam: int, longest: int, length_penalty: float, threads: int | None
) -> tuple[Callable[[Path], Caption], Preprocessing]:
    """What gives the caption of a photograph, and how that is prepared.

    Raises:
        KerasVisionError: a file that says nothing.
    """
    if path.suffix == ".tflite":
        from keras_vision.runtime.captioner import Captioner

        captioner = Captioner(path, threads)
        return lambda image: captioner.caption(image, beam, longest, length_penalty), captioner.preprocessing
    from keras_vision.captioning import CaptionModel
    from keras_vision.cli.loading import load_model

    network = load_model(str(path))
    if not isinstance(network, CaptionModel):
        raise KerasVisionError(f"{path} is a network for {network.card.task}, which says nothing.")
    return lambda image: _by_keras(network, image, beam, longest, length_penalty), network.preprocessing


def _by_keras(network: Any, image: Path, beam: int, longest: int, length_penalty: float) -> Caption:
    from keras_vision.runtime.captioner import Caption
    from keras_vision.runtime.images import open_image

    found = network.tell(network.preprocessing(open_image(image))[None], beam, longest, length_penalty)
    words = found.sentences[0].split()
    count = len(words)
    return Caption(words, found.log_p[0, 0, :count], found.attention[0, 0, :count], float(found.scores[0, 0]))

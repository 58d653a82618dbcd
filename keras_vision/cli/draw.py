"""`keras-vision draw`: new images from a network that draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.runtime.generator import Drawing

DIGITS = "draw-mnist"  # of savedmodels/


def draw(
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write, such as grid.png.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Images.")] = 64,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="A .tflite or .keras file, or a folder of one."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed draws the same images.")] = None,
    animate: Annotated[
        bool, typer.Option("--animate", help="Also write the drawing, step by step, as a .gif.")
    ] = False,
    attention: Annotated[bool, typer.Option("--attention", help="Show in the .gif where it writes.")] = False,
    enlarge: Annotated[int, typer.Option(min=1, max=16, help="Pixels of the picture for one of an image.")] = 3,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a .tflite file. Default: all.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there.")] = False,
) -> None:
    """Draw new images, side by side, and with --animate how they come about."""
    from keras_vision.files import whole_file
    from keras_vision.visualization.draw_sequences import drawing_frames, grid, write_animation

    film = out.with_suffix(".gif")
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise KerasVisionError(f"{out}: give a .png, .jpg or .webp; with --animate the drawing is a .gif beside it.")
    if attention and not animate:
        raise KerasVisionError("--attention is shown in the animation; add --animate.")
    for path in (out, film) if animate else (out,):
        if path.exists() and not overwrite:
            raise KerasVisionError(f"{path} exists already; pass --overwrite, or choose another path.")
    drawing, patch = drawn(model_file(model), n, seed, threads)
    if attention and drawing.windows is None:
        raise KerasVisionError("this model has no attention; leave --attention out.")
    with whole_file(out, overwrite) as file:
        grid(drawing.canvases[:, -1], enlarge=enlarge).save(file)
    typer.echo(f"picture: {out}")
    if animate:
        frames = drawing_frames(drawing.canvases, drawing.windows if attention else None, patch, enlarge=enlarge)
        write_animation(frames, film, overwrite=overwrite)
        typer.echo(f"drawing: {film}, {len(frames)} steps")


def model_file(model: Path | None) -> Path:
    """The file that is meant: of a folder its LiteRT file, or its Keras file.

    Raises:
        KerasVisionError: there is none.
    """
    path = model or Path(__file__).parents[2] / "savedmodels" / DIGITS
    if path.is_dir():
        path = next((path / name for name in ("model.tflite", "model.keras") if (path / name).is_file()), path)
    if not path.is_file():
        trained = "train one with `keras-vision recipes run draw-mnist-hour`, and give --model its folder"
        raise KerasVisionError(
            f"{path}: no model. " + ("Give a .tflite or .keras file." if model else f"Here, {trained}.")
        )
    return path


def drawn(path: Path, n: int, seed: int | None, threads: int | None) -> tuple[Drawing, int]:
    """A drawing, and the filters along a side of its windows.

    Raises:
        KerasVisionError: a file that does not draw.
    """
    if path.suffix == ".tflite":
        from keras_vision.runtime.generator import Generator

        generator = Generator(path, threads)
        return generator.generate(n, seed), generator.patch
    from keras_vision.cli.loading import load_model
    from keras_vision.generative import DRAWModel

    network = load_model(str(path))
    if not isinstance(network, DRAWModel):
        raise KerasVisionError(f"{path} is a network for {network.card.task}, which does not draw.")
    return network.draw(network.codes_of(n, seed)), network.cell.patches[1] or 0

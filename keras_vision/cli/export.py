"""`keras-vision export`: a model to LiteRT or SavedModel."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from keras_vision.cli.loading import DEFAULT, load_model, parse_settings, read_labels
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.export import Parity
    from keras_vision.model import VisionModel


class Quantize(enum.StrEnum):
    """Forms of a LiteRT file beside float32."""

    float16 = enum.auto()
    dynamic = enum.auto()
    int8 = enum.auto()


class Io(enum.StrEnum):
    """What an int8 file takes and gives."""

    float32 = enum.auto()
    int8 = enum.auto()
    uint8 = enum.auto()


def export(
    model: Annotated[str, typer.Argument(help="A .keras file, or a model's name.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="A .tflite file, or a folder for a SavedModel.", show_default=False)],
    weights: Annotated[str, typer.Option(help="With a model's name: a weight file, or a name of its card.")] = DEFAULT,
    setting: Annotated[
        list[str] | None, typer.Option(help="Setting of a model given by name, such as ceil_mode=true; repeatable.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="File of class names, one per line.")] = None,
    preprocessing: Annotated[bool, typer.Option("--preprocessing", help="LiteRT: normalise in the graph.")] = False,
    uint8: Annotated[bool, typer.Option("--uint8", help="LiteRT: take uint8 pixels; implies --preprocessing.")] = False,
    quantize: Annotated[Quantize | None, typer.Option(help="LiteRT: store or compute with fewer bits.")] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="Photographs for int8's ranges and for --report: not the ones you test on.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="How many of them.")] = 200,
    io: Annotated[Io, typer.Option(help="What an int8 file takes and gives.")] = Io.float32,
    agreement: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Least share of equal answers. Default: the card's for these weights, or 0.98."
        ),
    ] = None,
    flex: Annotated[bool, typer.Option("--flex", help="LiteRT: let TensorFlow's own operations in.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="LiteRT: measure, print, and write OUT.report.json and .html.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Export a model and prove that the file computes what the model computes."""
    litert = out.suffix == ".tflite"
    if not litert and (preprocessing or uint8):
        raise KerasVisionError("--preprocessing and --uint8 are for .tflite files; a SavedModel has both signatures.")
    if not litert and (quantize or calibrate or flex or report or io != Io.float32):
        raise KerasVisionError(f"--quantize, --calibrate, --io, --flex and --report are for .tflite files, not {out}.")
    for file in (out, *((Path(f"{out}.report.{kind}") for kind in ("json", "html")) if report else ())):
        if file.exists() and not overwrite:
            raise KerasVisionError(f"{file} exists already; pass --overwrite, or choose another path.")
    names = read_labels(labels)
    loaded = load_model(model, weights, parse_settings(setting or []))
    if names is not None:
        loaded.labels = names
    from keras_vision.export import to_litert, to_saved_model

    if not litert:
        _say(out, to_saved_model(loaded, out, overwrite=overwrite), None)
        return
    parity = to_litert(
        loaded, out, quantize=quantize and quantize.value, representative=calibrate, images=images, io=io.value,
        agreement=agreement, preprocessing=preprocessing, uint8_input=uint8, flex=flex, overwrite=overwrite,
    )  # fmt: skip
    _say(out, parity, quantize)
    if report:
        _report(loaded, out, calibrate, images=images, agreement=agreement, overwrite=overwrite)


def _say(out: Path, parity: Parity, quantize: Quantize | None) -> None:
    if quantize is None:
        typer.echo(
            f"{out}: differs from the Keras model by {parity.max_difference:.1e} at most (allowed {parity.bound:.1e})"
        )
        return
    answers = (
        "" if parity.agreement is None else f", the same answer on {parity.agreement:.1%} of {parity.images} images"
    )
    typer.echo(f"{out}: {quantize.value}, differs by {parity.mean_difference:.1e} on average{answers}")


def _report(model: VisionModel, out: Path, data: Path | None, *, overwrite: bool, **options: Any) -> None:
    from keras_vision.export import examine, show, write_report

    found = examine(model, out, data, **options)
    show(found, Console())
    for file in write_report(found, out, overwrite=overwrite):
        typer.echo(f"wrote {file}")
    if not found.passed:
        raise KerasVisionError(found.failure or "the file does not keep its bound.")

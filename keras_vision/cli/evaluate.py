"""`keras-vision evaluate`: top-1 and top-5 on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from keras_vision.cli.loading import DEFAULT, load_model, parse_settings
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.data import LabelledImages
    from keras_vision.evaluation import Evaluation
    from keras_vision.evaluation import Protocol as TestProtocol
    from keras_vision.model import VisionModel


def evaluate(
    images: Annotated[
        Path,
        typer.Argument(help="Folder: ImageNet's or Tiny ImageNet's validation set, or a subfolder per class."),
    ],
    model: Annotated[
        list[str], typer.Option("--model", "-m", help="A model's name or a .keras file; several make an ensemble.")
    ],
    weights: Annotated[
        list[str] | None, typer.Option(help="Weight file, or a name of the model's card; none, or one per --model.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="Setting of the models given by name, such as ceil_mode=true; repeatable.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="single, squash, ten, twelve, fifty, 144, dense, dense_multi_scale or dense_and_fifty.")
    ] = "single",
    scale: Annotated[
        list[int] | None, typer.Option(help="Shorter side of the resized image, in pixels; repeatable.")
    ] = None,
    synsets: Annotated[
        Path | None, typer.Option(help="ImageNet's classes in the network's order, such as synset_words.txt.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Classes of a flat ImageNet folder: lines of file and class, or Kaggle's .csv.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="File to keep finished images in, and to go on from.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    size: Annotated[int | None, typer.Option(min=1, help="Input side in pixels. Default: the model's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every image, in place of a table.")] = False,
) -> None:
    """Top-1 and top-5 of a model, or an ensemble, with 95 % intervals. Unreadable files are listed with the reason."""
    from keras_vision.data import validation_images
    from keras_vision.evaluation import protocol as find_protocol

    rule = find_protocol(protocol, scale or ())
    found = validation_images(images, labels, synsets)
    result = _run(_models(model, weights, setting, size), found, rule, batch_size, resume)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=1))
    else:
        _print(result)


def _models(
    names: list[str], weights: list[str] | None, setting: list[str] | None, size: int | None
) -> list[VisionModel]:
    files = weights or [DEFAULT] * len(names)
    if len(files) != len(names):
        raise KerasVisionError(f"{len(names)} --model and {len(files)} --weights; give one for each model, or none.")
    settings = parse_settings(setting or [])
    if size is not None:
        settings["input_shape"] = (size, size, 3)
    return [load_model(name, file, settings) for name, file in zip(names, files, strict=True)]


def _run(
    models: list[VisionModel], images: LabelledImages, rule: TestProtocol, batch_size: int, resume: Path | None
) -> Evaluation:
    from keras_vision.evaluation import evaluate as score

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("evaluating", total=len(images))
            return score(
                models, images, rule, batch_size=batch_size, resume=resume,
                progress=lambda done, total: bar.update(task, completed=done),
            )  # fmt: skip
    except KeyboardInterrupt:
        how = f"the same command goes on from {resume}" if resume else "with --resume FILE it could go on"
        typer.echo(f"interrupted; {how}", err=True)
        raise typer.Exit(130) from None


def _print(result: Evaluation) -> None:
    console = Console()
    table = Table("", "hits", "rate", "95 % interval", box=None, header_style="bold", padding=(0, 2, 0, 0))
    rows = [("top-1", result.hits(1), result.top1, result.top1_interval)]
    if result.top5 is not None and result.top5_interval is not None:
        rows.append(("top-5", result.hits(5), result.top5, result.top5_interval))
    for name, hits, rate, (low, high) in rows:
        table.add_row(name, f"{hits}/{result.n}", f"{rate:.1%}", f"{low:.1%} – {high:.1%}")
    views = f"{result.protocol.count} view{'s' if result.protocol.count > 1 else ''} per image"
    console.print(
        f"{' + '.join(result.models)}: protocol {result.protocol.name}, {views}, {result.n} images", highlight=False
    )
    console.print(table)
    if result.skipped:
        table = Table("skipped", "reason", box=None, header_style="bold", padding=(0, 2, 0, 0))
        for file, reason in result.skipped:
            table.add_row(escape(file), escape(reason))
        console.print(table)

"""`keras-vision multi-label`: a classifier of several labels per image, with thresholds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from keras_vision.cli.loading import DEFAULT, parse_weights
from keras_vision.cli.printing import printable
from keras_vision.cli.progress import progress_bar, resumable, training_bar

if TYPE_CHECKING:
    from keras_vision.data import MultiLabelImages
    from keras_vision.training import MultiLabelOutcome

_NAMED = 5  # images that are left out


def multi_label(
    table: Annotated[Path, typer.Argument(help="CSV file: a name and labels with spaces between.", show_default=False)],
    images: Annotated[Path, typer.Argument(help="Folder of the images.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder for model, thresholds and metrics.", show_default=False)],
    model: Annotated[str, typer.Option("--model", "-m", help="Name of the model.")] = "SqueezeNetV1_1",
    weights: Annotated[str, typer.Option(help="Weight file, a name of the model's card, or 'none'.")] = DEFAULT,
    exclusive: Annotated[
        list[str] | None,
        typer.Option(help="Labels of which an image has exactly one, with commas between; repeat for other groups."),
    ] = None,
    argmax: Annotated[
        bool, typer.Option("--argmax", help="Predict the most probable label of each group, without thresholds.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs in all.")] = 20,
    head_epochs: Annotated[
        int | None,
        typer.Option(min=0, help="Epochs for the classifier alone. Default: a quarter with trained weights."),
    ] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Input side in pixels. Default: the model's.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak rate for all layers. Default: 1e-3, or 1e-4 with trained weights.")
    ] = None,
    suffix: Annotated[str, typer.Option(help="Added to the names in the table; '' for nothing.")] = ".jpg",
    columns: Annotated[str, typer.Option(help="The table's two columns.")] = "image_name,tags",
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave out images that are missing or do not fit the exclusive labels.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of split, order and random weights.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew in a folder that holds a run.")] = False,
) -> None:
    """Fine-tune a model on images with several labels each; search thresholds; measure F2 on a held-out fifth.

    Interrupted with Ctrl-C, the same command goes on where it stopped.
    """
    from keras_vision.applications import model_card
    from keras_vision.registry import find
    from keras_vision.training import MultiLabelRun, train_multi_label

    entry, groups = find(model), tuple(tuple(group.split(",")) for group in exclusive or ())
    start = parse_weights(weights).get("weights", entry.default_weights)
    run = MultiLabelRun(
        model=entry.name,
        weights=start,
        epochs=epochs,
        head_epochs=head_epochs if head_epochs is not None else (max(1, epochs // 4) if start and epochs > 1 else 0),
        size=size or model_card(entry.name).preprocessing.size[0],
        exclusive=groups,
        argmax=argmax,
        batch_size=batch_size,
        learning_rate=learning_rate or (1e-4 if start else 1e-3),
        seed=seed,
    )
    console = Console()
    found = _images(table, images, suffix, columns, groups, skip, console)
    with resumable(console, out, overwrite), progress_bar(console) as progress:
        bar = training_bar(progress, run.epochs, run.batch_size)
        outcome = train_multi_label(run, found, out, [bar], overwrite)
    _print(outcome, out, console)


def _images(
    table: Path,
    folder: Path,
    suffix: str,
    columns: str,
    exclusive: tuple[tuple[str, ...], ...],
    skip: bool,
    console: Console,
) -> MultiLabelImages:
    import numpy as np

    from keras_vision.data import LabelGroups, label_table, readable_images
    from keras_vision.data.label_groups import take_images
    from keras_vision.errors import KerasVisionError

    names = columns.split(",")
    if len(names) != 2:
        raise KerasVisionError(f"--columns {columns}; give two names, such as image_name,tags.")
    missing = "skip" if skip else "error"
    found = label_table(folder, table, suffix, missing=missing, columns=(names[0], names[1]))
    groups = LabelGroups(found.class_names, exclusive)
    if skip and not (fits := groups.fits(found.labels)).all():
        reason = "not one label of each exclusive group"
        gone = tuple((str(found.sources[i]), reason) for i in np.flatnonzero(~fits).tolist())
        kept = take_images(found, np.flatnonzero(fits))
        found = dataclasses.replace(kept, skipped=(*found.skipped, *gone))
    groups.check(found.labels, found.sources)
    found = readable_images(found)
    for file, reason in found.skipped[:_NAMED]:
        console.print(printable(f"left out {file}: {reason}"), markup=False, soft_wrap=True)
    if len(found.skipped) > _NAMED:
        console.print(f"and {len(found.skipped) - _NAMED} more")
    return found


def _print(outcome: MultiLabelOutcome, out: Path, console: Console) -> None:
    console.print(
        f"\nheld-out F2 [bold]{outcome.f2:.3f}[/] with thresholds, {outcome.f2_at_half:.3f} at 0.5, "
        f"{outcome.baseline_f2:.3f} for the most frequent labels alone; {outcome.test_images} images\n"
        f"thresholds from {outcome.validation_images} images: F2 {outcome.validation_f2:.3f} there, "
        f"{outcome.validation_f2_at_half:.3f} at 0.5; trained on {outcome.training_images}",
        highlight=False,
    )
    console.print(f"model, thresholds and metrics: {out}", markup=False, soft_wrap=True)

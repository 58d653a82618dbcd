"""`keras-vision train`: fine-tune, export, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from keras_vision.cli.loading import DEFAULT, parse_weights
from keras_vision.cli.printing import printable
from keras_vision.cli.progress import progress_bar, resumable, training_bar
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.data import LabelledImages
    from keras_vision.training import Outcome

DIGITS = "digits"
_DIGITS_SIZE = 48


def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for model, exports and report.")],
    data: Annotated[str, typer.Option(help="Folder with a subfolder per class, or 'digits' (built in).")] = DIGITS,
    model: Annotated[str, typer.Option("--model", "-m", help="Name of the model.")] = "SqueezeNetV1_1",
    weights: Annotated[str, typer.Option(help="Weight file, a name of the model's card, or 'none'.")] = DEFAULT,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs in all.")] = 40,
    head_epochs: Annotated[
        int | None,
        typer.Option(min=0, help="Epochs for the classifier alone. Default: a quarter with trained weights."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Input side in pixels. Default: 48 for digits, else the model's.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak rate for all layers. Default: 5e-4, or 1e-4 with trained weights.")
    ] = None,
    augment: Annotated[str, typer.Option(help="crop, cifar, inception or none.")] = "crop",
    skip: Annotated[Path | None, typer.Option(help="List of files to leave out, as `data scan` writes it.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of split, order, augmentation and random weights.")] = 0,
    sync_batch_norm: Annotated[
        bool, typer.Option("--sync-batch-norm", help="Statistics of batch norm over all replicas.")
    ] = False,
    strategy: Annotated[str, typer.Option(help="none, mirrored (all GPUs) or multiworker (TF_CONFIG).")] = "none",
    replicas: Annotated[int | None, typer.Option(min=1, help="GPUs, or parts of the CPU, of 'mirrored'.")] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Between snapshots within an epoch.")] = 5.0,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write OUT/tensorboard, too.")] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits in each run; slower on a GPU.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew in a folder that holds a run.")] = False,
) -> None:
    """Fine-tune a model on a folder of images: first its classifier, then all layers; export and report.

    Interrupted or killed, the same command goes on after the last snapshot.
    """
    from keras_vision.applications import model_card
    from keras_vision.registry import find
    from keras_vision.training import Run, enable_determinism, fine_tune, strategy_of

    where = strategy_of(strategy, replicas)  # before anything uses TensorFlow's devices
    if deterministic:
        enable_determinism()
    entry = find(model)
    start = parse_weights(weights).get("weights", entry.default_weights)
    run = Run(
        model=entry.name,
        data=data if data == DIGITS else str(Path(data).resolve()),
        weights=start,
        epochs=epochs,
        head_epochs=head_epochs if head_epochs is not None else (max(1, epochs // 4) if start and epochs > 1 else 0),
        size=size or (_DIGITS_SIZE if data == DIGITS else model_card(entry.name).preprocessing.size[0]),
        batch_size=batch_size,
        learning_rate=learning_rate,
        augment=augment,
        sync_batch_norm=sync_batch_norm,
        seed=seed,
    )
    console = Console()
    images = _images(data, skip, console)
    for file, reason in images.skipped:
        console.print(printable(f"skipped {file}: {reason}"), markup=False)
    with resumable(console, out, overwrite), progress_bar(console) as progress:
        outcome = fine_tune(
            run,
            images,
            out,
            [training_bar(progress, run.epochs, run.batch_size)],
            overwrite,
            strategy=where,
            every=60 * minutes,
            tensorboard=tensorboard,
        )
    if outcome is not None:
        _print(outcome, out, console)


def _images(data: str, skip: Path | None, console: Console) -> LabelledImages:
    from keras_vision.data import digits, image_folder

    if data == DIGITS:
        if skip is not None:
            raise KerasVisionError(
                f"--skip {skip} goes with a folder of images; the digits have no files to leave out."
            )
        return digits()
    with progress_bar(console) as progress:
        task = progress.add_task("checking images", total=None, metrics="")
        return image_folder(data, lambda done, total: progress.update(task, completed=done, total=total), skip)


def _print(outcome: Outcome, out: Path, console: Console) -> None:
    console.print(
        f"\nheld-out accuracy [bold]{outcome.accuracy:.1%}[/] (Keras), {outcome.litert_accuracy:.1%} (LiteRT) on "
        f"{outcome.test_images} images; same class on {outcome.agreement:.1%}\n"
        f"LiteRT: {outcome.litert_bytes / 1e6:.1f} MB, {outcome.latency_ms:.1f} ms per image, differs by at most "
        f"{outcome.parity.max_difference:.1e} (allowed {outcome.parity.bound:.1e})\n"
        f"training took {outcome.training_seconds:.0f} s; epoch {outcome.best_epoch} was kept",
        highlight=False,
    )
    console.print(f"report: {out / 'report.html'}", markup=False, soft_wrap=True)

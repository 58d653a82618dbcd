"""`keras-vision train`: fine-tune, export, report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_vision.cli.loading import DEFAULT, parse_weights
from keras_vision.cli.printing import printable
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.data import LabelledImages
    from keras_vision.training import Outcome, Run

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
    import tensorflow as tf

    from keras_vision.applications import model_card
    from keras_vision.registry import find
    from keras_vision.training import Run, fine_tune, strategy_of

    where = strategy_of(strategy, replicas)  # before anything uses TensorFlow's devices
    if deterministic:
        tf.config.experimental.enable_op_determinism()
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
        seed=seed,
    )
    console = Console()
    images = _images(data, skip, console)
    for file, reason in images.skipped:
        console.print(printable(f"skipped {file}: {reason}"), markup=False)
    try:
        with _progress(console) as progress:
            outcome = fine_tune(
                run,
                images,
                out,
                [_callback(progress, run)],
                overwrite,
                strategy=where,
                every=60 * minutes,
                tensorboard=tensorboard,
            )
    except KeyboardInterrupt:
        how = "the same command, without --overwrite," if overwrite else "the same command"
        console.print(f"interrupted; {how} goes on after the last snapshot in {out}", markup=False)
        raise typer.Exit(130) from None
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
    with _progress(console) as progress:
        task = progress.add_task("checking images", total=None, metrics="")
        return image_folder(data, lambda done, total: progress.update(task, completed=done, total=total), skip)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[metrics]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _callback(progress: Progress, run: Run) -> Any:
    """A Keras callback that moves one bar over all epochs and prints a line at the end of each."""
    import keras

    class Bar(keras.callbacks.Callback):
        task = progress.add_task("training", total=None, metrics="")

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.steps, self.first, self.began = self.params["steps"], -1, 0.0
            self.done = epoch * self.steps
            progress.update(
                self.task,
                description=f"epoch {epoch + 1}/{run.epochs}",
                total=run.epochs * self.steps,
                completed=self.done,
            )

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.first < 0:  # the first step compiles
                self.first, self.began = batch, time.perf_counter()
            rate = (batch - self.first) * run.batch_size / max(time.perf_counter() - self.began, 1e-9)
            metrics = f"loss {logs['loss']:.3f}, accuracy {logs['accuracy']:.1%}, {rate:,.0f} images/s"
            progress.update(self.task, completed=self.done + batch + 1, metrics=metrics)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            progress.console.print(
                f"epoch {epoch + 1:3d}  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.1%}  "
                f"validation loss {logs['val_loss']:.3f}  accuracy {logs['val_accuracy']:.1%}",
                highlight=False,
            )

    return Bar()


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

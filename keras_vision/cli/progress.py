"""Progress bars, of files and of training."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_vision.cli.printing import printable

if TYPE_CHECKING:
    import keras
    from rich.console import Console


def progress_bar(console: Console) -> Progress:
    """A bar with a description, a count, a field `metrics` and the time that is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[metrics]}"),
        TimeRemainingColumn(),
        console=console,
    )


@contextlib.contextmanager
def resumable(console: Console, out: Path, overwrite: bool) -> Iterator[None]:
    """Ctrl-C in a run that goes on later: says how, and exits with 130."""
    try:
        yield
    except KeyboardInterrupt:
        how = "the same command, without --overwrite," if overwrite else "the same command"
        console.print(printable(f"interrupted; {how} goes on after the last snapshot in {out}"), markup=False)
        raise typer.Exit(130) from None


def training_bar(progress: Progress, epochs: int | None, batch_size: int) -> keras.callbacks.Callback:
    """A callback that moves one bar over the steps of all epochs and prints a line at the end of each.

    Args:
        progress: of `progress_bar`.
        epochs: in all; None for those of each training that it watches.
        batch_size: images of a step.
    """
    import keras

    class Bar(keras.callbacks.Callback):
        task = progress.add_task("training", total=None, metrics="")

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            steps, self.first, self.began = self.params["steps"], -1, 0.0
            self.done, last = epoch * steps, epochs or self.params["epochs"]
            progress.update(self.task, description=f"epoch {epoch + 1}/{last}", total=last * steps, completed=self.done)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.first < 0:  # the first step compiles
                self.first, self.began = batch, time.perf_counter()
            rate = (batch - self.first) * batch_size / max(time.perf_counter() - self.began, 1e-9)
            metrics = f"loss {float(logs['loss']):.3f}, {rate:,.0f} images/s"
            progress.update(self.task, completed=self.done + batch + 1, metrics=metrics)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            metrics = (f"{key.replace('val_', 'validation ')} {value:.4g}" for key, value in (logs or {}).items())
            progress.console.print(f"epoch {epoch + 1:3d}  {'  '.join(metrics)}", highlight=False, soft_wrap=True)

    return Bar()


@contextlib.contextmanager
def counting(console: Console, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar for work of unknown or known length: what it gives is called with the number of pieces done."""
    began = time.perf_counter()
    with progress_bar(console) as progress:
        task = progress.add_task(what, total=total, metrics="")

        def done(count: int) -> None:
            rate = count / max(time.perf_counter() - began, 1e-9)
            progress.update(task, completed=count, metrics=f"{rate:,.0f}/s")

        yield done

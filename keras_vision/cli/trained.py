"""`keras-vision models fetch` and `verify`: the models that this project trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

NAMES = typer.Argument(help="Models by name. Default: all of them.", show_default=False)


def fetch(
    names: Annotated[list[str] | None, NAMES] = None,
    out: Annotated[Path, typer.Option(help="Folder to put them into.")] = Path("savedmodels"),
) -> None:
    """Copy trained models here, from $KERAS_VISION_MODELS or the checkout; each file's hash is checked."""
    from keras_vision.runtime import trained

    for path in trained.fetch(out, names or ()):
        typer.echo(path)


def verify(
    names: Annotated[list[str] | None, NAMES] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of models. Default: $KERAS_VISION_MODELS or the checkout's.")
    ] = None,
) -> None:
    """Compare the files of trained models with the manifest; exits with 1 if one is missing or another."""
    from keras_vision.runtime import trained

    found = list(trained.verify(folder, names or ()))
    table = Table("model", "file", "bytes", "state", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for file, fault in found:
        state = "[red]" + escape(fault) + "[/]" if fault else "ok"
        table.add_row(escape(file.model), escape(file.name), f"{file.size:,}", state)
    Console().print(table)
    if any(fault for _, fault in found):
        raise typer.Exit(1)

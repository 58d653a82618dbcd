"""`keras-vision data`: looking through folders of images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.data.scan import Scan

SHOWN = 3  # files of each kind

data = typer.Typer(help="Look through folders of images.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Look through folders of images."""


@data.command("scan")
def scan_(
    folder: Annotated[Path, typer.Argument(help="Folder of images, at any depth.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Skip list to write, for `image_folder`.")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Kind that does not go into the skip list, such as cmyk; repeat for several."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: all processors.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the skip list.")] = False,
) -> None:
    """Find corrupt, truncated, CMYK, duplicate and wrongly named images; write a list of files to leave out."""
    from keras_vision.data.scan import KINDS
    from keras_vision.data.skip_list import write_skip_list

    if unknown := sorted(set(keep or ()) - set(KINDS)):
        raise KerasVisionError(f"--keep {unknown[0]}; accepted: {', '.join(KINDS)}.")
    if out is not None and out.exists() and not overwrite:
        raise KerasVisionError(f"{out} exists already; pass --overwrite, or choose another path.")
    result = _run(folder, threads)
    listed = [(f.path, f.reason) for f in result.findings if f.kind not in (keep or ())]
    lines = None if out is None else write_skip_list(out, listed, overwrite)  # before anything can go wrong in printing
    _print(result, KINDS)
    if out is not None:
        typer.echo(f"{lines} files listed in {_printable(str(out))}")


def _run(folder: Path, threads: int | None) -> Scan:
    from keras_vision.data.scan import scan

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("scanning", total=None)
            return scan(folder, lambda done, total: bar.update(task, completed=done, total=total), threads)
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was written", err=True)
        raise typer.Exit(130) from None


def _print(result: Scan, kinds: tuple[str, ...]) -> None:
    table = Table("found", "files", "first of them", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for kind in kinds:
        found = result.of_kind(kind)
        table.add_row(kind, str(len(found)), *[_line(f.path, f.reason) for f in found[:1]])
        for finding in found[1:SHOWN]:
            table.add_row("", "", _line(finding.path, finding.reason))
    console = Console()
    bad = len({finding.path for finding in result.findings})
    console.print(
        f"{result.files} images in {escape(_printable(str(result.folder)))}, {bad} with findings", highlight=False
    )
    console.print(table, highlight=False)


def _line(path: str, reason: str) -> str:
    return escape(_printable(f"{path}: {reason}"))


def _printable(text: str) -> str:
    """Names, and reasons with names in them, may hold bytes that are no UTF-8, or commands to the terminal."""
    seen = "".join(letter if letter.isprintable() else "?" for letter in text)
    encoding = sys.stdout.encoding or "utf-8"
    return seen.encode(encoding, "replace").decode(encoding)

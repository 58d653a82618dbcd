"""`keras-vision data`: looking through folders of images, and packing them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from keras_vision.cli.printing import printable
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.data.scan import Scan

SHOWN = 3  # files of each kind

data = typer.Typer(help="Look through folders of images, and pack them.", no_args_is_help=True)


@data.callback()
def _group() -> None:
    """Look through folders of images, and pack them."""


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
        typer.echo(f"{lines} files listed in {printable(str(out))}")


@data.command("shards")
def shards_(
    folder: Annotated[Path, typer.Argument(help="Folder with a subfolder of images per class.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder for the shards and their index.", show_default=False)],
    shards: Annotated[int, typer.Option(min=1, help="Number of files.")] = 64,
    skip: Annotated[Path | None, typer.Option(help="List of files to leave out, as `data scan` writes it.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: all processors.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace shards that are there.")] = False,
) -> None:
    """Pack a folder of images into TFRecord shards; interrupted with Ctrl-C, the same command goes on."""
    from keras_vision.data import class_folders, write_shards

    images = class_folders(folder, skip)
    try:
        with _bar("writing") as update:
            index = write_shards(images, out, shards, update, threads, overwrite)
    except KeyboardInterrupt:
        how = "the same command, without --overwrite," if overwrite else "the same command"
        typer.echo(f"interrupted; {how} goes on after the last finished shard in {printable(str(out))}", err=True)
        raise typer.Exit(130) from None
    size = sum(shard["bytes"] for shard in json.loads(index.read_text())["shards"])
    typer.echo(
        f"{len(images)} images of {len(images.class_names)} classes, {len(images.skipped)} left out, in {shards} "
        f"shards, {size / 1e6:,.1f} MB; index: {printable(str(index))}"
    )


def _run(folder: Path, threads: int | None) -> Scan:
    from keras_vision.data.scan import scan

    try:
        with _bar("scanning") as update:
            return scan(folder, update, threads)
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing was written", err=True)
        raise typer.Exit(130) from None


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


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
        f"{result.files} images in {escape(printable(str(result.folder)))}, {bad} with findings", highlight=False
    )
    console.print(table, highlight=False)


def _line(path: str, reason: str) -> str:
    return escape(printable(f"{path}: {reason}"))

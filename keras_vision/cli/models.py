"""`keras-vision models`: what there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from keras_vision.cli.convert import convert
from keras_vision.cli.trained import fetch, verify

COLUMNS = ("model", "paper", "input", "parameters", "multiply-adds", "weights")

models = typer.Typer(
    help="List models, show the card of one, convert weights, fetch trained ones.", no_args_is_help=True
)
for command in (convert, fetch, verify):
    models.command()(command)


@models.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="Shell pattern, such as 'squeeze*'.")] = "*",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only those with public weights.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of README.")] = False,
) -> None:
    """Names, sizes and public weights of the models."""
    from keras_vision.registry import catalogue, matches

    found = {
        name: entry
        for name, entry in catalogue().items()
        if matches(name, pattern) and (entry["weights"] or not pretrained)
    }
    rows = [(name, entry["paper"], *_figures(entry)) for name, entry in found.items()]
    if markdown:
        typer.echo(f"| {' | '.join(COLUMNS)} |\n| --- | --- | --- | ---: | ---: | --- |")
        for name, paper, *figures in rows:
            arxiv = found[name]["arxiv"]
            link = f"[{paper}](https://arxiv.org/abs/{arxiv})" if arxiv else paper
            typer.echo(f"| `{name}` | {link} | {' | '.join(figures)} |")
        return
    table = Table(*COLUMNS, box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _figures(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    operations = "–" if entry["multiply_adds"] is None else f"{entry['multiply_adds'] / 1e9:.2f} G"
    size = _size(entry["input"])
    return size, f"{entry['parameters']:,}", operations, ", ".join(entry["weights"]) or "–"


def _size(shape: Sequence[int | None]) -> str:
    """Height, width and channels; "any size" where these are open."""
    return f"any size, {shape[2]}" if None in shape[:2] else "x".join(map(str, shape))


@models.command()
def info(
    name: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The card of a model: paper, counts, preprocessing, weights, deviations."""
    from keras_vision.zoo import model_card

    card = model_card(name)
    if as_json:
        typer.echo(json.dumps(card.to_dict(), indent=1))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    spec = card.preprocessing
    rows = {
        "model": card.name,
        "paper": f"{card.paper.title} ({card.paper.authors}, {card.paper.year}), {card.table}",
        "arXiv": card.paper.arxiv or "–",
        "parameters": f"{card.parameters:,} ({card.trainable_parameters:,} trainable)",
        "multiply-adds": "depends on the size" if card.multiply_adds is None else f"{card.multiply_adds:,}",
        "input": _size(card.input_shape),
        "preprocessing": f"shorter side to {spec.resize_shorter}, crop {spec.size}, {spec.color}, "
        f"minus {spec.mean}, divided by {spec.std}",
        "code": card.licence,
    }
    for file in card.weights:
        rows[f"weights {file.name!r}"] = f"{file.file}, {file.hash}; {file.source}; {file.licence}; {file.url}"
    for number, deviation in enumerate(card.deviations, 1):
        rows[f"deviation {number}"] = deviation
    for key, value in rows.items():
        table.add_row(f"[bold]{key}[/]", value)
    Console().print(table)

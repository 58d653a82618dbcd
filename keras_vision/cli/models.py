"""`keras-vision models`: what there is."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from keras_vision.cli.convert import convert

models = typer.Typer(help="List models, show the card of one, convert weights.", no_args_is_help=True)
models.command()(convert)


@models.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="Shell pattern, such as 'squeeze*'.")] = "*",
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only those with public weights.")] = False,
) -> None:
    """Names, sizes and public weights of the models."""
    from keras_vision.applications import list_models, model_card

    table = Table(
        "model", "input", "parameters", "multiply-adds", "weights", box=None, header_style="bold", padding=(0, 2, 0, 0)
    )
    table.columns[0].no_wrap = True
    for name in list_models(pattern, pretrained):
        card = model_card(name)
        size = "x".join(map(str, card.input_shape))
        operations = f"{(card.multiply_adds or 0) / 1e9:.2f} G"
        table.add_row(name, size, f"{card.parameters:,}", operations, ", ".join(w.name for w in card.weights) or "–")
    Console().print(table)


@models.command()
def info(
    name: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The card of a model: paper, counts, preprocessing, weights, deviations."""
    from keras_vision.applications import model_card

    card = model_card(name)
    if as_json:
        typer.echo(json.dumps(card.to_dict(), indent=1))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    spec = card.preprocessing
    rows = {
        "model": card.name,
        "paper": f"{card.paper.title} ({card.paper.authors}, {card.paper.year}), {card.table}",
        "arXiv": card.paper.arxiv,
        "parameters": f"{card.parameters:,} ({card.trainable_parameters:,} trainable)",
        "multiply-adds": f"{card.multiply_adds:,}",
        "input": "x".join(map(str, card.input_shape)),
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

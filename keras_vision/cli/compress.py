"""`keras-vision compress` and `decompress`: a model to a packed file by Deep Compression, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from keras_vision.cli.loading import DEFAULT, load_model, parse_settings
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.compression import Ledger, Photographs
    from keras_vision.model import VisionModel

STAGES = ("dense", "pruned", "shared", "packed")


def compress(
    model: Annotated[str, typer.Argument(help="A .keras file, or a model's name.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: the model's name, .kvpack.")] = None,
    bits: Annotated[int, typer.Option(help="4, 5, 6 or 8: a kernel takes 2 ** bits values at most.")] = 8,
    sparsity: Annotated[float | None, typer.Option(help="Share of zeros, such as 0.67. Default: no pruning.")] = None,
    scope: Annotated[str, typer.Option(help="Weights compete by lamp or global over kernels, or in a layer.")] = "lamp",
    layer: Annotated[list[str] | None, typer.Option(help="Layer to compress; repeatable. Default: all.")] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="Photographs without labels to keep outputs on; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Photographs to take at most.")] = 128,
    steps: Annotated[int, typer.Option(min=0, help="Further steps towards the model's outputs on them.")] = 0,
    rate: Annotated[float, typer.Option(help="Learning rate of these.")] = 1e-5,
    weights: Annotated[str, typer.Option(help="With a model's name: a weight file, or a name of its card.")] = DEFAULT,
    setting: Annotated[list[str] | None, typer.Option(help="Setting of the model's table, as KEY=VALUE.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Prune, share and Huffman-code a model's weights, and say where the bytes went."""
    path = out or Path(f"{Path(model).stem}.kvpack")
    if path.exists() and not overwrite:
        raise KerasVisionError(f"{path} exists already; pass --overwrite, or choose another path with --out.")
    if steps and not images:
        raise KerasVisionError(f"--steps {steps} without --images; give photographs to train on.")
    loaded = load_model(model, weights, parse_settings(setting or []))
    from keras_vision.compression import compress as deep_compression

    console = Console(stderr=True)
    with console.status("compressing") as status:
        ledger = deep_compression(
            loaded, path, bits=bits, sparsity=sparsity, scope=scope, layers=layer,
            images=_photographs(loaded, images, limit, console), steps=steps, rate=rate, overwrite=overwrite,
            progress=lambda stage, step, loss: status.update(f"{stage}: step {step} of {steps}, loss {loss:.4g}"),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(ledger.to_dict(), indent=1))
    else:
        _print(ledger, path)


def decompress(
    packed: Annotated[Path, typer.Argument(help="File that `compress` wrote.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="File to write: .keras, .weights.h5, .safetensors or .npz.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Write the model, or the weights, of a packed file in another format."""
    import keras_vision.zoo  # noqa: F401  registers the layers of every family
    from keras_vision.compression import load_packed
    from keras_vision.weights import save

    if out.exists() and not overwrite:
        raise KerasVisionError(f"{out} exists already; pass --overwrite, or choose another path.")
    model = load_packed(packed)
    save(model, out, overwrite)
    typer.echo(f"{out}: {model.count_params():,} weights of {model.name}")


def _photographs(model: VisionModel, images: list[Path] | None, limit: int, console: Console) -> Photographs | None:
    if not images:
        return None
    from keras_vision.compression import Photographs

    found = Photographs(images, model.preprocessing, limit=limit)
    if found.skipped:
        file, reason = found.skipped[0]
        console.print(f"{len(found.skipped)} images left out, such as {file}: {reason}", markup=False)
    return found


def _print(ledger: Ledger, path: Path) -> None:
    table = Table("", "weights", "kept", "values", *STAGES, "of dense", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for line in ledger.lines:
        stages = [f"{getattr(line, stage):,}" for stage in STAGES]
        share = f"{line.packed / line.dense:.1%}" if line.dense else ""
        table.add_row(line.name, f"{line.weights:,}", f"{line.kept:,}", str(line.values or "-"), *stages, share)
    totals = [f"{ledger.total(stage):,}" for stage in STAGES]
    table.add_row("network, header, hash", "", "", "", "", "", "", f"{ledger.overhead:,}", "", end_section=True)
    table.add_row("all", f"{ledger.total('weights'):,}", f"{ledger.total('kept'):,}", "", *totals, "", style="bold")
    console = Console()
    console.print(table)
    console.print(
        f"{path}: {ledger.size:,} bytes, {ledger.ratio:.1f}x smaller than its weights; {ledger.sparsity:.1%} of "
        "the coded weights are zero",
        markup=False, soft_wrap=True,
    )  # fmt: skip

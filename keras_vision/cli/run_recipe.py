"""`keras-vision recipes run` and `list`: the recipes of the papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_vision.cli.printing import printable
from keras_vision.cli.progress import progress_bar, training_bar

if TYPE_CHECKING:
    from keras_vision.training import Plan


def list_() -> None:
    """Names of the recipes, what they train and what the papers reached."""
    from keras_vision.training import RECIPES

    table = Table("recipe", "model", "data", "epochs", "result", box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.columns[0].no_wrap = True
    for recipe in RECIPES.values():
        table.add_row(recipe.name, recipe.model, recipe.data, str(recipe.epochs), recipe.result)
    Console().print(table, highlight=False)


def run(
    name: Annotated[str, typer.Argument(help="Name of the recipe, see `recipes list`.", show_default=False)],
    data: Annotated[Path, typer.Argument(help="Folder of ImageNet, CIFAR-10, MNIST or classes.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder for model and metrics.", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value in the place of a setting; repeat for several.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="none, mirrored (all GPUs) or multiworker (TF_CONFIG).")] = "none",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, in time and memory too.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew in a folder that holds a run.")] = False,
) -> None:
    """Train a recipe of a paper, on its data or your own; interrupted, the same command goes on."""
    from keras_vision.training import find_recipe, plan, run_recipe, strategy_of, with_settings

    recipe = with_settings(find_recipe(name), settings or [])
    chosen = strategy_of(strategy)
    console = Console()
    if dry_run:
        _print(plan(recipe, data, chosen), chosen.num_replicas_in_sync, console)
        return
    try:
        with progress_bar(console) as progress:
            bar = training_bar(progress, recipe.epochs, recipe.step_images)
            outcome = run_recipe(recipe, data, out, strategy=chosen, callbacks=[bar], overwrite=overwrite)
    except KeyboardInterrupt:
        how = "the same command, without --overwrite," if overwrite else "the same command"
        console.print(printable(f"interrupted; {how} goes on after the last snapshot in {out}"), markup=False)
        raise typer.Exit(130) from None
    top5 = "" if outcome["top5"] is None else f", top-5 {outcome['top5']:.2%}"
    console.print(
        f"top-1 accuracy {outcome['top1']:.2%}{top5} on {outcome['images']:,} images ({outcome['protocol']})\n"
        f"to compare with, on {recipe.data}: {recipe.result}\nmodel: {printable(str(out / 'model.keras'))}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _print(plan: Plan, replicas: int, console: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, value in _rows(plan, replicas):
        table.add_row(key, escape(printable(value)))
    console.print(table, highlight=False)


def _rows(plan: Plan, replicas: int) -> list[tuple[str, str]]:
    recipe, memory = plan.recipe, plan.memory
    per_image = "" if plan.multiply_adds is None else f", {plan.multiply_adds / 1e9:.2f} G multiply-adds forwards"
    start = recipe.start or (f"{recipe.stage_model}, trained before" if recipe.stage_model else "random")
    parts = f" in {recipe.accumulation} parts" if recipe.accumulation > 1 else ""
    decay = "decoupled" if recipe.decoupled else "L2"
    clip = "" if recipe.clip is None else f", gradients clipped to {recipe.clip:g}"
    average = "" if recipe.average is None else f", running average of weights {recipe.average:g}"
    return [
        ("recipe", f"{recipe.name}: {recipe.result}, on {recipe.data}"),
        ("model", f"{recipe.model}, {plan.parameters:,} parameters, {plan.trained:,} trained{per_image}"),
        ("start", f"{start}; seed {recipe.seed}"),
        ("data", f"{plan.training_images:,} training, {plan.validation_images:,} validation, {plan.classes} classes"),
        ("input", f"{recipe.size} x {recipe.size} pixels, {recipe.precision}"),
        ("augmentation", " ".join([recipe.augment, *(f"{k}={v}" for k, v in recipe.augment_settings.items())])),
        ("batch", f"{recipe.batch_size}{parts} on {replicas} replicas; {plan.steps:,} steps an epoch"),
        ("epochs", f"{recipe.epochs}, {recipe.epochs * plan.steps:,} steps"),
        ("optimizer", f"{recipe.optimizer}{_momentum(plan)}{clip}{average}"),
        ("weight decay", f"{recipe.weight_decay:g} ({decay}) of {plan.decayed} of {plan.variables} variables"),
        ("rate", f"{recipe.schedule}: " + ", ".join(f"epoch {e}: {rate:.3g}" for e, rate in plan.rates)),
        ("loss", f"label smoothing {recipe.label_smoothing:g}, side classifiers {recipe.auxiliary_weight:g}"),
        ("evaluation", recipe.protocol),
        ("memory", f"about {_size(sum(memory.values()))} a replica: " + ", ".join(_parts(memory))),
        ("time", _time(plan)),
    ]


def _momentum(plan: Plan) -> str:
    recipe = plan.recipe
    kind = "Nesterov momentum" if recipe.nesterov else "momentum"
    epsilon = "" if recipe.optimizer == "sgd" else f", epsilon {recipe.epsilon:g}"
    return ("" if recipe.optimizer == "adam" else f", {kind} {recipe.momentum:g}") + epsilon


def _parts(memory: dict[str, int]) -> list[str]:
    return [f"{what} {_size(count)}" for what, count in memory.items() if count]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _time(plan: Plan) -> str:
    """Of the training alone, as far as it was measured."""
    if plan.images_per_second is None or plan.seconds is None:
        return "not measured"
    hours = plan.seconds / 3600
    length = f"{hours / 24:,.1f} days" if hours > 48 else f"{hours:,.2f} hours"
    stage = ", and the model before it" if plan.recipe.stage_model else ""
    return (
        f"about {length}{stage}, without validation: {plan.images_per_second:.1f} images/s, measured on "
        f"{plan.measured_steps} steps of {plan.measured_images} random images on one device here"
    )

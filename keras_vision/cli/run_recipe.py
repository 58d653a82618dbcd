"""`keras-vision recipes run` and `list`: the recipes of the papers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from keras_vision.cli.printing import printable
from keras_vision.cli.progress import progress_bar, resumable, training_bar
from keras_vision.cli.recipe_plan import caption_rows, dense_rows, generative_rows, plan_rows, print_rows


def list_() -> None:
    """Names of the recipes, what they train and what the papers reached."""
    from keras_vision.training import all_recipes

    table = Table("recipe", "model", "data", "epochs", "result", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in table.columns[:2]:
        column.no_wrap = True
    for recipe in all_recipes().values():
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
    from keras_vision.training import (
        CaptionRecipe,
        DenseRecipe,
        GenerativeRecipe,
        GlimpseRecipe,
        find_recipe,
        plan,
        plan_captions,
        plan_dense,
        plan_generative,
        plan_glimpses,
        run_caption_recipe,
        run_dense_recipe,
        run_generative_recipe,
        run_glimpse_recipe,
        run_recipe,
        strategy_of,
        with_settings,
    )

    recipe = with_settings(find_recipe(name), settings or [])
    chosen = strategy_of(strategy)
    console = Console()
    if dry_run:
        if isinstance(recipe, DenseRecipe):
            rows = dense_rows(plan_dense(recipe, data))
        elif isinstance(recipe, GenerativeRecipe):
            rows = generative_rows(plan_generative(recipe, data))
        elif isinstance(recipe, GlimpseRecipe):
            rows = generative_rows(plan_glimpses(recipe, data))
        elif isinstance(recipe, CaptionRecipe):
            rows = caption_rows(recipe, plan_captions(recipe, data))
        else:
            rows = plan_rows(plan(recipe, data, chosen), chosen.num_replicas_in_sync)
        print_rows(rows, console)
        return
    with resumable(console, out, overwrite), progress_bar(console) as progress:
        bar = training_bar(progress, recipe.epochs, recipe.step_images)
        options: dict[str, Any] = dict(strategy=chosen, callbacks=[bar], overwrite=overwrite)
        if isinstance(recipe, DenseRecipe):
            outcome = run_dense_recipe(recipe, data, out, **options)
        elif isinstance(recipe, GenerativeRecipe):
            outcome = run_generative_recipe(recipe, data, out, **options)
        elif isinstance(recipe, GlimpseRecipe):
            outcome = run_glimpse_recipe(recipe, data, out, **options)
        elif isinstance(recipe, CaptionRecipe):
            outcome = run_caption_recipe(recipe, data, out, **options)
        else:
            outcome = run_recipe(recipe, data, out, **options)
    console.print(
        f"{_scores(outcome)}\nto compare with, on {recipe.data}: {recipe.result}\n"
        f"model: {printable(str(out / 'model.keras'))}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _scores(outcome: Mapping[str, Any]) -> str:
    if "bleu1" in outcome:
        scores = ", ".join(f"BLEU-{n} {outcome[f'bleu{n}']:.3f}" for n in (1, 2, 3, 4))
        return scores + ", METEOR {meteor:.3f} ({meteor_stages}) on {test_images:,} images".format(**outcome)
    if "nats" in outcome:
        return (
            "<= {nats:.2f} nats on {test_images:,} images; {importance_weighted_nats:.2f} by {importance_samples} "
            "weighted samples on {importance_images:,}"
        ).format(**outcome)
    if "error" in outcome:
        return "error {error:.2%} on {test_images:,} images".format(**outcome)
    if "ods" in outcome:
        return "ODS {ods:.3f}, OIS {ois:.3f}, AP {ap:.3f} on {test_images:,} images".format(**outcome)
    if "mean_iu" in outcome:
        return "mean IU {mean_iu:.2%}, pixel accuracy {pixel_accuracy:.2%} on {test_images:,} images".format(**outcome)
    top5 = "" if outcome["top5"] is None else f", top-5 {outcome['top5']:.2%}"
    return f"top-1 accuracy {outcome['top1']:.2%}{top5} on {outcome['images']:,} images ({outcome['protocol']})"

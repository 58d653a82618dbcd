"""`keras-vision recipes`: results of the papers, trained anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from keras_vision.cli.progress import progress_bar, resumable, training_bar
from keras_vision.cli.run_recipe import list_, run

recipes = typer.Typer(help="Train what a paper trained, and draw or print its result.", no_args_is_help=True)
recipes.command("list")(list_)
recipes.command()(run)


@recipes.command()
def batch_norm(
    data: Annotated[Path, typer.Argument(help="Folder with the four files of MNIST.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Picture to write, such as figure1.png.", show_default=False)],
    steps: Annotated[int, typer.Option(min=100, help="Steps, a multiple of 100.")] = 50_000,
    seed: Annotated[int, typer.Option(help="Of weights and order.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the picture if it is there.")] = False,
) -> None:
    """Batch norm (2015), Figure 1: MNIST with and without it, and what goes into a sigmoid."""
    from keras_vision.training.recipes import batch_norm as recipe

    for name, curves in recipe.run(data, out, steps, seed, overwrite).items():
        typer.echo(f"{name}: {curves.accuracy[-1]:.2%} of the test images after {curves.steps[-1]:,} steps")
    typer.echo(f"picture: {out}")


@recipes.command()
def squeezenet_design(
    data: Annotated[Path, typer.Argument(help="Folder of CIFAR-10, or of classes.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder for networks, figures and picture.", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value in the place of a setting; repeat for several.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace figures and picture, not networks.")] = False,
) -> None:
    """SqueezeNet (2016), Figure 3 and Table 3: squeeze ratio, share of 3x3 filters and bypass, against size."""
    from keras_vision.training import with_settings
    from keras_vision.training.recipes import squeezenet_design as recipe

    console, base = Console(), with_settings(recipe.BASE, settings or [])
    with resumable(console, out, overwrite=False), progress_bar(console) as progress:
        bar = training_bar(progress, None, base.step_images)
        points = recipe.run(data, out, base, callbacks=[bar], overwrite=overwrite)
    for point in points:
        typer.echo(f"{point.sweep} {point.value}: {point.top1:.2%} top-1, {point.megabytes:.2f} MB")
    typer.echo(f"picture: {out / recipe.PICTURE}")


@recipes.command()
def branchynet(
    network: Annotated[str, typer.Argument(help="b-lenet, b-alexnet or b-resnet-110.", show_default=False)],
    data: Annotated[Path, typer.Argument(help="Folder of MNIST or CIFAR-10.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder to write.", show_default=False)],
    main_epochs: Annotated[int | None, typer.Option(min=1, help="Of the main line; default: the paper's.")] = None,
    joint_epochs: Annotated[int | None, typer.Option(min=1, help="Of all classifiers; default: the paper's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew if the folder holds a run.")] = False,
) -> None:
    """BranchyNet (2016): a network with early exits, its thresholds, and what they save."""
    import dataclasses

    from keras_vision.errors import KerasVisionError
    from keras_vision.training.recipes import branchynet as recipe

    if network not in recipe.NETWORKS:
        raise KerasVisionError(f"{network!r} is none of BranchyNet's networks: {', '.join(recipe.NETWORKS)}.")
    epochs: dict[str, Any] = {
        name: n for name, n in (("main_epochs", main_epochs), ("joint_epochs", joint_epochs)) if n
    }
    console, changed = Console(), dataclasses.replace(recipe.NETWORKS[network], **epochs)
    with resumable(console, out, overwrite), progress_bar(console) as progress:
        bar = training_bar(progress, None, changed.batch_size)
        found = recipe.run(changed, data, out, callbacks=[bar], overwrite=overwrite)
    left = ", ".join(f"{share:.1%}" for share in found.shares)
    typer.echo(f"main line alone: {found.main_accuracy:.2%} of the test images; with exits: {found.accuracy:.2%}")
    typer.echo(f"images by exit: {left}; {found.whole / found.multiply_adds:.2f}x fewer multiply-adds; {out}")

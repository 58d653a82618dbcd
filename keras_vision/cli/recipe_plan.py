"""What a dry run of a recipe prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from keras_vision.cli.printing import printable

if TYPE_CHECKING:
    from rich.console import Console

    from keras_vision.training import CaptionPlan, CaptionRecipe, DensePlan, GenerativePlan, Plan
    from keras_vision.training.recipes.settings import Settings


def print_rows(rows: Iterable[tuple[str, str]], console: Console) -> None:
    """A table of what is said about each part of a plan."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, value in rows:
        table.add_row(key, escape(printable(value)))
    console.print(table, highlight=False)


def dense_rows(plan: DensePlan) -> list[tuple[str, str]]:
    """Of a recipe with an output for each pixel: what it is, and what it would take here."""
    recipe = plan.recipe
    height, width = recipe.crop
    start = recipe.start or (f"{recipe.stage}, trained before" if recipe.stage else "random")
    classes = f", {plan.classes} classes, balance {recipe.class_weights}" if plan.classes else ""
    settings = " ".join(f"{key}={value}" for key, value in recipe.augment_settings.items())
    loss = ", ".join(f"{key}={value}" for key, value in recipe.loss_settings.items()) or "as it is"
    decay = "decoupled" if recipe.decoupled else "L2"
    hours = recipe.epochs * plan.steps * recipe.step_images / plan.images_per_second / 3600
    return [
        ("recipe", f"{recipe.name}: {recipe.result or 'no result yet'}, on {recipe.data}"),
        ("model", f"{recipe.model}, {plan.parameters:,} parameters, {plan.trained:,} trained"),
        ("start", f"{start}; seed {recipe.seed}"),
        ("data", f"{plan.images[0]:,} training, {plan.images[1]:,} validation, {plan.images[2]:,} test{classes}"),
        ("input", f"windows of {height} x {width} pixels, {recipe.precision}; whole images in evaluation"),
        ("augmentation", f"{recipe.augment} {settings}"),
        ("batch", f"{recipe.batch_size} in {recipe.accumulation} parts; {plan.steps:,} steps an epoch"),
        ("epochs", f"{recipe.epochs}, {recipe.epochs * plan.steps:,} steps"),
        ("optimizer", f"{recipe.optimizer}{_momentum(recipe)}, biases {recipe.bias_rate:g} times as fast"),
        ("weight decay", f"{recipe.weight_decay:g} ({decay})"),
        ("rate", f"{recipe.schedule}, at most {recipe.learning_rate:g}"),
        ("loss", loss),
        ("time", f"about {hours:,.1f} hours at {plan.images_per_second:.2f} images/s, measured on one device here"),
    ]


def generative_rows(plan: GenerativePlan) -> list[tuple[str, str]]:
    """Of a recipe of DRAW, or of cluttered digits: what it is, and what it would take here."""
    recipe = plan.recipe
    hours = recipe.epochs * plan.steps * recipe.step_images / plan.images_per_second / 3600
    length = f"about {hours:,.1f} hours" if recipe.minutes is None else f"{recipe.minutes:g} minutes of steps"
    clip = "" if recipe.clip is None else f", gradients clipped to {recipe.clip:g}"
    return [
        ("recipe", f"{recipe.name}: {recipe.result or 'no result yet'}, on {recipe.data}"),
        ("model", f"{recipe.model}, {plan.parameters:,} parameters, for images of {plan.shape}"),
        ("data", f"{plan.images[0]:,} training, {plan.images[1]:,} validation, {plan.images[2]:,} test"),
        (
            "batch",
            f"{recipe.batch_size} in {recipe.accumulation} parts; {plan.steps:,} steps an epoch, {recipe.precision}",
        ),
        ("epochs", f"{recipe.epochs} at most" if recipe.minutes else f"{recipe.epochs}"),
        (
            "optimizer",
            f"{recipe.optimizer}{_momentum(recipe)}{clip}, {recipe.schedule} rate from {recipe.learning_rate:g}",
        ),
        ("time", f"{length}, at {plan.images_per_second:.1f} images/s, measured on one device here"),
    ]


def caption_rows(recipe: CaptionRecipe, plan: CaptionPlan) -> list[tuple[str, str]]:
    """Of a recipe of captions: what it is, and of what data."""
    gigabytes = sum(plan.images) * plan.locations * plan.channels * 4 / 1e9
    left_out = ", ".join(f"{count:,} {what}" for what, count in plan.left_out.items() if count)
    batches = "of one length" if recipe.bucketed else "filled up"
    tuned = f", then {recipe.tuned_epochs} with the encoder at {recipe.tuned_rate:g}" if recipe.tuned_epochs else ""
    return [
        ("recipe", f"{recipe.name}: {recipe.result}, on {recipe.data}"),
        ("model", f"{recipe.encoder} to {recipe.tap}, {plan.encoder:,} parameters; decoder {plan.decoder:,}"),
        ("start", f"{recipe.start or 'random'}; seed {recipe.seed}"),
        ("data", f"{plan.images[0]:,} training, {plan.images[1]:,} validation, {plan.images[2]:,} test photographs"),
        ("captions", f"{plan.captions:,} to learn, of {plan.vocabulary:,} words"),
        ("left out", left_out or "nothing"),
        ("annotation vectors", f"{plan.locations} x {plan.channels} each, about {gigabytes:.1f} GB on disk"),
        ("batch", f"{recipe.batch_size} captions {batches}"),
        ("epochs", f"{recipe.epochs} at most{tuned}"),
        ("optimizer", f"{recipe.optimizer}{_momentum(recipe)}, {recipe.schedule} rate from {recipe.learning_rate:g}"),
    ]


def plan_rows(plan: Plan, replicas: int) -> list[tuple[str, str]]:
    """Of a classifier's recipe: what it is, and what it would take here."""
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
        ("optimizer", f"{recipe.optimizer}{_momentum(recipe)}{clip}{average}"),
        ("weight decay", f"{recipe.weight_decay:g} ({decay}) of {plan.decayed} of {plan.variables} variables"),
        ("rate", f"{recipe.schedule}: " + ", ".join(f"epoch {e}: {rate:.3g}" for e, rate in plan.rates)),
        ("loss", f"label smoothing {recipe.label_smoothing:g}, side classifiers {recipe.auxiliary_weight:g}"),
        ("evaluation", recipe.protocol),
        ("memory", f"about {_size(sum(memory.values()))} a replica: " + ", ".join(_parts(memory))),
        ("time", _time(plan)),
    ]


def _momentum(recipe: Settings) -> str:
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

"""BranchyNet (Teerapittayanon et al., 2016): its three networks trained, their thresholds searched, the curve drawn.

    keras-vision recipes branchynet b-lenet FOLDER_OF_MNIST OUT
    keras-vision recipes branchynet b-alexnet CIFAR10 OUT
    keras-vision recipes branchynet b-resnet-110 CIFAR10 OUT

As in the authors' files, first the main line alone, 50 epochs in batches of 512 (ResNet: 100, in batches of 64), then
all classifiers together from its weights, 100 epochs; Adam at 0.001, beta_1 0.99. In section IV: LeNet 99.20 %,
B-LeNet 99.25 % at 5.4 times the speed on a CPU, T = 0.025; AlexNet 78.38 %, B-AlexNet 79.19 %, 1.5 times, T = 1e-4 and
0.05; ResNet 80.70 %, B-ResNet 79.17 %, 1.9 times, T = 0.3 and 0.2. Not repeated here at full length.

The losses of the first and last classifier count 1.0 and 0.3, which gained a point over equal ones in the paper; the
one between counts 0.5 (not published). Thresholds are searched on a tenth of the training images, which is left out of
training: the cheapest at which no less is right there than of the main line alone.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.applications import create_model
from keras_vision.data import LabelledImages, Pipeline, augment
from keras_vision.early_exit import EarlyExit
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation.exit_thresholds import ExitPlan, exit_curve, search_exits
from keras_vision.export import to_staged_litert
from keras_vision.files import whole_file
from keras_vision.model import VisionModel
from keras_vision.training.loop import train
from keras_vision.training.recipes.data_sets import training_and_validation
from keras_vision.training.run_folder import claim, finish, keep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAGES, PICTURE, HELD_OUT = "stages", "curve.png", 0.1
SNAPSHOTS = ("main.npz", "joint.npz")


@dataclasses.dataclass(frozen=True)
class BranchyRecipe:
    """How one network is trained.

    Attributes:
        model: name of the network, with `settings` for its constructor.
        weights: of the losses, in the order of its outputs: the main classifier's, then the branches'.
        batch_size, main_epochs, joint_epochs: of the two trainings.
        augment: a name in `data.augment`, or None.
        learning_rate: of Adam.
        seed: of weights, order and the images held out.
    """

    model: str
    weights: tuple[float, ...]
    batch_size: int = 512
    main_epochs: int = 50
    joint_epochs: int = 100
    augment: str | None = None
    learning_rate: float = 0.001
    seed: int = 0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


NETWORKS: Mapping[str, BranchyRecipe] = {
    "b-lenet": BranchyRecipe("BLeNet", (0.3, 1.0)),
    "b-alexnet": BranchyRecipe("BAlexNet", (0.3, 1.0, 0.5)),
    "b-resnet-110": BranchyRecipe("BResNet110", (0.3, 1.0, 0.5), 64, 100),
}


@dataclasses.dataclass(frozen=True)
class BranchyOutcome:
    """What was trained.

    Attributes:
        model: with all classifiers.
        main_accuracy: of the main line trained alone, on the test images.
        exit_accuracies: of each exit for all test images.
        plan: thresholds, with accuracy and shares on the images they were searched on.
        accuracy, shares, multiply_adds: with these thresholds on the test images.
        whole: multiply-adds of the main line alone.
        curve: all plans that are worth it, on the images held out.
    """

    model: VisionModel
    main_accuracy: float
    exit_accuracies: tuple[float, ...]
    plan: ExitPlan
    accuracy: float
    shares: tuple[float, ...]
    multiply_adds: float
    whole: int
    curve: tuple[ExitPlan, ...]


def run(
    recipe: BranchyRecipe,
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    overwrite: bool = False,
) -> BranchyOutcome:
    """Train a network as the paper does; interrupted, the same call goes on.

    `out` then holds model.keras, stages/ (`export.to_staged_litert`, with the thresholds), curve.png and metrics.json.

    Args:
        recipe: of `NETWORKS`, or with other numbers.
        data: folder, in a layout of `recipes.data_sets.LAYOUTS`.
        out: folder to write.
        callbacks: Keras callbacks, of both trainings: that of the main line and that of all classifiers.
        overwrite: start anew if the folder holds a run.

    Raises:
        KerasVisionError: no data set, fewer images than fill a batch, weights of another number than the classifiers,
            or a folder that holds something else, another run or a finished one.
    """
    kept, test = training_and_validation(data, recipe.seed)
    training, held_out = kept.split(HELD_OUT, recipe.seed)
    if len(training) < recipe.batch_size:
        raise KerasVisionError(f"{len(training)} training images do not fill a batch of {recipe.batch_size}.")
    keras.utils.set_random_seed(recipe.seed)
    main, model = (network(recipe, len(kept.class_names), branches) for branches in (False, True))
    if len(recipe.weights) != len(model.outputs):
        raise KerasVisionError(f"weights={recipe.weights} of {len(model.outputs)} classifiers; give one for each.")
    mark = f"{kept.fingerprint()} {test.fingerprint()}"
    folder = claim(
        Path(out), dataclasses.asdict(recipe), mark, tf.distribute.get_strategy(), products=(STAGES, PICTURE),
        overwrite=overwrite,
    )  # fmt: skip
    trained(main, training, recipe, recipe.main_epochs, folder / SNAPSHOTS[0], callbacks)
    for layer in main.layers:
        model.get_layer(layer.name).set_weights(layer.get_weights())
    trained(model, training, recipe, recipe.joint_epochs, folder / SNAPSHOTS[1], callbacks)
    model.labels = kept.class_names
    outcome = judged(main, model, held_out, test)
    _write(outcome, Path(out))
    return outcome


def network(recipe: BranchyRecipe, classes: int, branches: bool) -> VisionModel:
    """The network with its side classifiers, or without."""
    return create_model(recipe.model, weights=None, classes=classes, branches=branches, **recipe.settings)


def trained(
    model: VisionModel,
    images: LabelledImages,
    recipe: BranchyRecipe,
    epochs: int,
    snapshots: Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Train all classifiers of a network together, with the sum of their weighted losses."""
    sides = len(model.outputs) - 1
    loss = [keras.losses.SparseCategoricalCrossentropy() for _ in range(1 + sides)]
    weights = list(recipe.weights) if sides else None
    adam = keras.optimizers.Adam(recipe.learning_rate, beta_1=0.99)
    model.compile(adam, loss if sides else loss[0], loss_weights=weights, jit_compile=False)
    changes = None if recipe.augment is None else getattr(augment, recipe.augment)()
    pipeline = Pipeline(
        images, model.preprocessing, recipe.batch_size, augment=changes, seed=recipe.seed, drop_remainder=True
    )

    def batches(epoch: int, step: int) -> tf.data.Dataset:
        left = pipeline.epoch(epoch, step * recipe.batch_size)
        return left.map(lambda x, y: (x, (y,) * (1 + sides))) if sides else left

    train(model, batches, epochs=epochs, steps_per_epoch=pipeline.steps, callbacks=callbacks, snapshots=snapshots)


def judged(main: VisionModel, model: VisionModel, held_out: LabelledImages, test: LabelledImages) -> BranchyOutcome:
    """Thresholds from the images held out, and what they do to the test images."""
    plan, curve = cheapest(main, model, held_out)
    never, costs = _without_exits(model)
    test_x, test_y = arrays(test, model)
    found = EarlyExit(model, plan.thresholds).predict(test_x)
    shares = np.bincount(found.exits, minlength=len(costs)) / len(test_y)
    return BranchyOutcome(
        model,
        float(np.mean(main.predict(test_x, verbose=0).argmax(1) == test_y)),
        tuple(float(np.mean(p.argmax(1) == test_y)) for p in never.probabilities(test_x)),
        plan,
        float(np.mean(found.classes == test_y)),
        tuple(map(float, shares)),
        float(np.dot(shares, np.cumsum(costs))),
        int(main.card.multiply_adds or 0),
        tuple(curve),
    )


def cheapest(
    main: keras.Model, model: VisionModel, images: LabelledImages, points: float = 0.0
) -> tuple[ExitPlan, list[ExitPlan]]:
    """The cheapest thresholds that lose at most so many percentage points against the main line, and all worth it.

    Where no thresholds are as good, those of the best accuracy.
    """
    x, y = arrays(images, model)
    never, costs = _without_exits(model)
    probabilities = never.probabilities(x)
    aim = float(np.mean(main.predict(x, batch_size=512, verbose=0).argmax(1) == y)) - points / 100
    curve = exit_curve(probabilities, y, costs)
    return search_exits(probabilities, y, costs, min(max(aim, 0.0), curve[-1].accuracy)), curve


def _without_exits(model: VisionModel) -> tuple[EarlyExit, list[float]]:
    """The stages, none of which lets an image leave, and their multiply-adds."""
    never = EarlyExit(model, [0.0] * (len(model.outputs) - 1))
    return never, [float(stage.multiply_adds or 0) for stage in never.stages]


def arrays(images: LabelledImages, model: VisionModel) -> tuple[np.ndarray, np.ndarray]:
    """All images as the network takes them, and their labels."""
    batches = list(Pipeline(images, model.preprocessing, 512).epoch(0).as_numpy_iterator())
    return np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])


def _write(outcome: BranchyOutcome, out: Path) -> None:
    keep(out, outcome.model)
    to_staged_litert(outcome.model, out / STAGES, outcome.plan.thresholds, overwrite=True)
    with whole_file(out / PICTURE, overwrite=True) as temporary:
        curve_figure(outcome.curve, outcome.plan, outcome.whole).savefig(temporary, format="png", dpi=120)
    values = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome) if f.name != "model"}
    values |= dict(plan=dataclasses.asdict(outcome.plan), curve=[dataclasses.asdict(plan) for plan in outcome.curve])
    finish(out, values)


def curve_figure(curve: Sequence[ExitPlan], plan: ExitPlan, whole: int) -> Figure:
    """Accuracy over the multiply-adds of an image, for all plans that are worth it.

    Args:
        curve: plans from the cheapest to the dearest.
        plan: the one that was chosen.
        whole: multiply-adds of the main line alone.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([p.cost / 1e6 for p in curve], [100 * p.accuracy for p in curve], "o-", ms=3, label="thresholds")
    axes.plot(plan.cost / 1e6, 100 * plan.accuracy, "*", ms=12, label="chosen")
    axes.axvline(whole / 1e6, color="grey", ls="--", label="main line alone")
    axes.set(xlabel="million multiply-adds of an image", ylabel="accuracy on images held out, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure

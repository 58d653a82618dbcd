"""Training of classifiers on labelled images."""

from keras_vision.training.distillation import Distiller, distillation_loss
from keras_vision.training.fine_tune import Outcome, Run, fine_tune
from keras_vision.training.labels import SmoothedCrossentropy, TwoStageSmoothing, smooth_labels
from keras_vision.training.loop import train
from keras_vision.training.manifold_mixup import ManifoldMixUp
from keras_vision.training.moving_average import MovingAverage
from keras_vision.training.multi_optimizer import MultiOptimizer
from keras_vision.training.optimisation import add_l2, optimizer_of, schedule_of
from keras_vision.training.recipes.catalogue import RECIPES, find_recipe
from keras_vision.training.recipes.planning import Plan, plan
from keras_vision.training.recipes.running import run_recipe
from keras_vision.training.recipes.settings import Recipe, with_settings
from keras_vision.training.strategy import strategy_of

__all__ = [
    "RECIPES",
    "Distiller",
    "ManifoldMixUp",
    "MovingAverage",
    "MultiOptimizer",
    "Outcome",
    "Plan",
    "Recipe",
    "Run",
    "SmoothedCrossentropy",
    "TwoStageSmoothing",
    "add_l2",
    "distillation_loss",
    "find_recipe",
    "fine_tune",
    "optimizer_of",
    "plan",
    "run_recipe",
    "schedule_of",
    "smooth_labels",
    "strategy_of",
    "train",
    "with_settings",
]

"""Training: one loop, recipes of the papers, losses, schedules and callbacks."""

from keras_vision.training._attention_critic import attention_modules
from keras_vision.training.best_bleu import BestBleu
from keras_vision.training.board import board
from keras_vision.training.class_balance import median_frequency_weights
from keras_vision.training.distillation import Distiller, distillation_loss
from keras_vision.training.dreal import DREAL
from keras_vision.training.fine_tune import Run, fine_tune
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.labels import SmoothedCrossentropy, TwoStageSmoothing, noisy_labels, smooth_labels
from keras_vision.training.loop import train
from keras_vision.training.manifold_mixup import ManifoldMixUp
from keras_vision.training.moving_average import MovingAverage
from keras_vision.training.multi_label import groups_of, logits_model, multi_label_classifier, train_head_only
from keras_vision.training.multi_label_loss import MultiLabelCrossentropy
from keras_vision.training.multi_label_run import MultiLabelOutcome, MultiLabelRun, most_frequent, train_multi_label
from keras_vision.training.multi_optimizer import MultiOptimizer
from keras_vision.training.optimisation import add_l2, optimizer_of, schedule_of
from keras_vision.training.outcome import Outcome
from keras_vision.training.pixel_loss import PixelCrossentropy
from keras_vision.training.recipes.caption_planning import CaptionPlan, plan_captions
from keras_vision.training.recipes.caption_running import run_caption_recipe
from keras_vision.training.recipes.caption_settings import CaptionRecipe
from keras_vision.training.recipes.catalogue import (
    CAPTION_RECIPES,
    DENSE_RECIPES,
    GENERATIVE_RECIPES,
    GLIMPSE_RECIPES,
    RECIPES,
    all_recipes,
    find_recipe,
)
from keras_vision.training.recipes.dense_planning import DensePlan, plan_dense
from keras_vision.training.recipes.dense_running import run_dense_recipe
from keras_vision.training.recipes.dense_settings import DenseRecipe
from keras_vision.training.recipes.generative_planning import GenerativePlan, plan_generative, plan_glimpses
from keras_vision.training.recipes.generative_running import run_generative_recipe
from keras_vision.training.recipes.generative_settings import GenerativeRecipe
from keras_vision.training.recipes.glimpse_running import run_glimpse_recipe
from keras_vision.training.recipes.glimpse_settings import GlimpseRecipe
from keras_vision.training.recipes.planning import Plan, plan
from keras_vision.training.recipes.running import run_recipe
from keras_vision.training.recipes.settings import Recipe, with_settings
from keras_vision.training.relay import Auxiliary, Relay
from keras_vision.training.sample_sheets import SampleSheets
from keras_vision.training.strategy import enable_determinism, strategy_of
from keras_vision.training.synchronized import synchronized
from keras_vision.training.time_budget import TimeBudget

__all__ = [
    "CAPTION_RECIPES",
    "DENSE_RECIPES",
    "DREAL",
    "GENERATIVE_RECIPES",
    "GLIMPSE_RECIPES",
    "RECIPES",
    "Auxiliary",
    "BestBleu",
    "CaptionPlan",
    "CaptionRecipe",
    "DensePlan",
    "DenseRecipe",
    "Distiller",
    "GenerativePlan",
    "GenerativeRecipe",
    "GlimpseRecipe",
    "HistoryFile",
    "ManifoldMixUp",
    "MovingAverage",
    "MultiLabelCrossentropy",
    "MultiLabelOutcome",
    "MultiLabelRun",
    "MultiOptimizer",
    "Outcome",
    "PixelCrossentropy",
    "Plan",
    "Recipe",
    "Relay",
    "Run",
    "SampleSheets",
    "SmoothedCrossentropy",
    "TimeBudget",
    "TwoStageSmoothing",
    "add_l2",
    "all_recipes",
    "attention_modules",
    "board",
    "distillation_loss",
    "enable_determinism",
    "find_recipe",
    "fine_tune",
    "groups_of",
    "logits_model",
    "median_frequency_weights",
    "most_frequent",
    "multi_label_classifier",
    "noisy_labels",
    "optimizer_of",
    "plan",
    "plan_captions",
    "plan_dense",
    "plan_generative",
    "plan_glimpses",
    "run_caption_recipe",
    "run_dense_recipe",
    "run_generative_recipe",
    "run_glimpse_recipe",
    "run_recipe",
    "schedule_of",
    "smooth_labels",
    "strategy_of",
    "synchronized",
    "train",
    "train_head_only",
    "train_multi_label",
    "with_settings",
]

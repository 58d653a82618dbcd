"""Training of classifiers on labelled images."""

from keras_vision.training._attention_critic import attention_modules
from keras_vision.training.distillation import Distiller, distillation_loss
from keras_vision.training.dreal import DREAL
from keras_vision.training.fine_tune import Outcome, Run, fine_tune
from keras_vision.training.labels import SmoothedCrossentropy, TwoStageSmoothing, smooth_labels
from keras_vision.training.loop import train
from keras_vision.training.manifold_mixup import ManifoldMixUp
from keras_vision.training.moving_average import MovingAverage
from keras_vision.training.multi_optimizer import MultiOptimizer
from keras_vision.training.strategy import strategy_of
from keras_vision.training.synchronized import synchronized

__all__ = [
    "DREAL",
    "Distiller",
    "ManifoldMixUp",
    "MovingAverage",
    "MultiOptimizer",
    "Outcome",
    "Run",
    "SmoothedCrossentropy",
    "TwoStageSmoothing",
    "attention_modules",
    "distillation_loss",
    "fine_tune",
    "smooth_labels",
    "strategy_of",
    "synchronized",
    "train",
]

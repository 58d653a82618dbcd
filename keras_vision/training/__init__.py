"""Training of classifiers on labelled images."""

from keras_vision.training.board import board
from keras_vision.training.distillation import Distiller, distillation_loss
from keras_vision.training.fine_tune import Run, fine_tune
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.labels import SmoothedCrossentropy, TwoStageSmoothing, smooth_labels
from keras_vision.training.loop import train
from keras_vision.training.manifold_mixup import ManifoldMixUp
from keras_vision.training.moving_average import MovingAverage
from keras_vision.training.multi_optimizer import MultiOptimizer
from keras_vision.training.outcome import Outcome
from keras_vision.training.strategy import strategy_of

__all__ = [
    "Distiller",
    "HistoryFile",
    "ManifoldMixUp",
    "MovingAverage",
    "MultiOptimizer",
    "Outcome",
    "Run",
    "SmoothedCrossentropy",
    "TwoStageSmoothing",
    "board",
    "distillation_loss",
    "fine_tune",
    "smooth_labels",
    "strategy_of",
    "train",
]

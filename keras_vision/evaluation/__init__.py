"""Scores of classifiers on labelled images: published test protocols, ensembles, confidence intervals."""

from keras_vision.evaluation.class_metrics import caltech_splits, mean_average_precision, mean_class_recall
from keras_vision.evaluation.evaluating import evaluate
from keras_vision.evaluation.features import describe
from keras_vision.evaluation.protocols import PROTOCOLS, Protocol, Views, protocol
from keras_vision.evaluation.result import Evaluation, ImageScore

__all__ = [
    "PROTOCOLS",
    "Evaluation",
    "ImageScore",
    "Protocol",
    "Views",
    "caltech_splits",
    "describe",
    "evaluate",
    "mean_average_precision",
    "mean_class_recall",
    "protocol",
]

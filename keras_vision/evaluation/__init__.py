"""Scores of classifiers on labelled images: published test protocols, ensembles, confidence intervals."""

from keras_vision.evaluation.captions import CaptionScores, caption_scores
from keras_vision.evaluation.class_metrics import caltech_splits, mean_average_precision, mean_class_recall
from keras_vision.evaluation.evaluating import evaluate
from keras_vision.evaluation.exit_thresholds import ExitPlan, exit_curve, search_exits
from keras_vision.evaluation.f_beta import SampleFBeta, f_beta
from keras_vision.evaluation.features import describe
from keras_vision.evaluation.label_scores import (
    CLASSIFIERS,
    average_labels,
    label_classifier,
    label_scores,
    predict_labels,
)
from keras_vision.evaluation.protocols import PROTOCOLS, Protocol, Views, protocol
from keras_vision.evaluation.result import Evaluation, ImageScore
from keras_vision.evaluation.segmentation import SegmentationScores, confusion_matrix, segmentation_scores
from keras_vision.evaluation.segmentation_bounds import upper_bounds
from keras_vision.evaluation.segmentation_metrics import (
    FrequencyWeightedIU,
    MeanAccuracy,
    MeanIU,
    PixelAccuracy,
    segmentation_metrics,
)
from keras_vision.evaluation.thresholds import Thresholds, search_thresholds
from keras_vision.evaluation.trimap import TrimapCurve, trimap_curve

__all__ = [
    "CLASSIFIERS",
    "PROTOCOLS",
    "CaptionScores",
    "Evaluation",
    "ExitPlan",
    "FrequencyWeightedIU",
    "ImageScore",
    "MeanAccuracy",
    "MeanIU",
    "PixelAccuracy",
    "Protocol",
    "SampleFBeta",
    "SegmentationScores",
    "Thresholds",
    "TrimapCurve",
    "Views",
    "average_labels",
    "caltech_splits",
    "caption_scores",
    "confusion_matrix",
    "describe",
    "evaluate",
    "exit_curve",
    "f_beta",
    "label_classifier",
    "label_scores",
    "mean_average_precision",
    "mean_class_recall",
    "predict_labels",
    "protocol",
    "search_exits",
    "search_thresholds",
    "segmentation_metrics",
    "segmentation_scores",
    "trimap_curve",
    "upper_bounds",
]

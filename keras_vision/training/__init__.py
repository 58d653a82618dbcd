"""Training of classifiers on labelled images."""

from keras_vision.training.fine_tune import Outcome, Run, fine_tune

__all__ = ["Outcome", "Run", "fine_tune"]

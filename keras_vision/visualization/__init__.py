"""Pictures of what models and operations do."""

from keras_vision.visualization.dense_crf import crf_iterations

__all__ = ["crf_iterations"]

"""Operations that neither Keras nor TensorFlow has: the fully-connected CRF and the filter it rests on.

Names are imported on first use, and nothing is compiled before the first call.
"""

from keras_vision.lazy import on_first_use

_NAMES = {
    "Bilateral": "crf.energy",
    "Gaussian": "crf.energy",
    "Potts": "crf.energy",
    "dense_crf": "crf.dense_crf",
    "fit_dense_crf": "crf.fitting",
    "load_operations": "crf.library",
    "permutohedral_filter": "crf.permutohedral",
}

__all__ = sorted(_NAMES)

__getattr__, __dir__ = on_first_use(__name__, _NAMES)

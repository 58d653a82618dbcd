"""Operations that neither Keras nor TensorFlow has: the fully-connected CRF and the filter it rests on.

Names are imported on first use, and nothing is compiled before the first call.
"""

import importlib
from typing import Any

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


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

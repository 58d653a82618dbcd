"""keras_vision: the classic vision papers as Keras 3 models.

Every name below is imported on first use (PEP 562), so ``import keras_vision`` itself costs almost nothing.
"""

from keras_vision.lazy import on_first_use
from keras_vision.ops.arrival import register_with_tensorflow

__version__ = "0.1.0"

_MODULES = (
    "analytics",
    "applications",
    "batch_norm",
    "captioning",
    "compression",
    "data",
    "early_exit",
    "edges",
    "evaluation",
    "export",
    "generative",
    "graph",
    "layers",
    "localisation",
    "ops",
    "proposals",
    "registry",
    "runtime",
    "segmentation",
    "training",
    "upsampling",
    "visualization",
    "weights",
)
_NAMES = {  # public name -> the module that makes it work; importing `zoo` registers all families
    "create_model": "zoo",
    "evaluate": "evaluation",
    "list_models": "zoo",
    "load_model": "zoo",
    "model_card": "zoo",
    "taps": "applications",
    "fold_batch_norm": "batch_norm",
    "recalibrate_batch_norm": "batch_norm",
    "KerasVisionError": "errors",
    "Preprocessing": "runtime",
}

__all__ = sorted([*_MODULES, *_NAMES])

register_with_tensorflow()

__getattr__, __dir__ = on_first_use(__name__, {**dict.fromkeys(_MODULES), **_NAMES})

"""Registers the compiled operations with TensorFlow once both are there, so that SavedModels which hold them load.

Nothing is imported for it, and nothing compiled: if TensorFlow is imported later, it is done then; if the operations
were never compiled on this machine, `keras_vision.ops.load_operations` does it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

NAME = "tensorflow"


def register_with_tensorflow() -> None:
    """Now, or when TensorFlow is imported."""
    if hasattr(sys.modules.get(NAME), "load_op_library"):
        _register()
    elif NAME not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds TensorFlow as if it were not there, and hears when it has been imported; then it goes."""

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != NAME or getattr(self._asking, "others", False):
            return None
        self._asking.others = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._asking.others = False
        if spec is not None and spec.loader is not None:  # many only ask whether it is there
            _afterwards(spec.loader, self._arrived)
        return spec

    def _arrived(self) -> None:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)
            _register()


def _afterwards(loader: Any, action: Any) -> None:
    """Makes a loader do something once it has run a module."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        action()

    loader.exec_module = exec_module


def _register() -> None:
    from keras_vision.errors import KerasVisionError, KerasVisionWarning
    from keras_vision.ops.crf.library import load_compiled

    try:
        load_compiled()
    except (KerasVisionError, OSError, RuntimeError, sys.modules[NAME].errors.OpError) as error:
        warnings.warn(  # it must not keep TensorFlow away
            f"The compiled CRF cannot be loaded, so SavedModels that hold it cannot be, either: {error}. Empty "
            "keras_vision.ops.build.cache_folder(), and it is compiled again.",
            KerasVisionWarning,
            stacklevel=2,
        )

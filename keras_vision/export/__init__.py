"""Models to files for serving and for devices; each export is checked against the Keras model before it is kept.

Every name is imported on first use (PEP 562): the process that converts needs TensorFlow alone.
"""

from typing import TYPE_CHECKING

from keras_vision.lazy import on_first_use

if TYPE_CHECKING:
    from keras_vision.export.litert import to_litert
    from keras_vision.export.operations import contents
    from keras_vision.export.parity import Parity
    from keras_vision.export.report import Report, examine
    from keras_vision.export.report_page import show, write_report
    from keras_vision.export.saved_model import to_saved_model
    from keras_vision.export.staged import to_staged_litert

__all__ = [
    "Parity",
    "Report",
    "contents",
    "examine",
    "show",
    "to_litert",
    "to_saved_model",
    "to_staged_litert",
    "write_report",
]

_HOMES = {  # public name -> the module that has it
    "Parity": "parity",
    "Report": "report",
    "contents": "operations",
    "examine": "report",
    "show": "report_page",
    "to_litert": "litert",
    "to_saved_model": "saved_model",
    "to_staged_litert": "staged",
    "write_report": "report_page",
}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)

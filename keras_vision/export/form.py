"""What a LiteRT file is to look like, and which of its options go together."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from keras_vision.errors import ExportError

FORMS = (None, "float16", "dynamic", "int8")
TYPES = ("float32", "int8", "uint8")


@dataclasses.dataclass(frozen=True)
class Form:
    """Options of `to_litert`.

    Raises:
        ExportError: an unknown one, or two that do not go together.
    """

    quantize: str | None
    io: str
    in_graph: bool
    uint8_input: bool
    batch: int | None
    flex: bool

    def __post_init__(self) -> None:
        if self.quantize not in FORMS:
            raise ExportError(f"quantize={self.quantize!r}; accepted: None, 'float16', 'dynamic', 'int8'.")
        if self.io not in TYPES:
            raise ExportError(f"io={self.io!r}; accepted: {', '.join(map(repr, TYPES))}.")
        if self.io != "float32" and self.quantize != "int8":
            raise ExportError(f"io={self.io!r} goes with quantize='int8'; other forms take and give float32.")
        if self.io == "int8" and self.uint8_input:
            raise ExportError("io='int8' and uint8_input=True name two types of input; give one of them.")
        if self.batch is not None and self.batch < 1:
            raise ExportError(f"batch={self.batch}; give a number of images, at least 1, or None for any.")

    @property
    def graph_input(self) -> tf.DType:
        """Type of the converted function's input. An integer one of int8 is made by the converter."""
        return tf.uint8 if self.uint8_input and self.quantize != "int8" else tf.float32

    @property
    def takes(self) -> str:
        """Type of the input that the converter is asked for."""
        return "uint8" if self.uint8_input and self.quantize == "int8" else self.io

    @property
    def gives(self) -> str:
        """Type of the outputs."""
        return self.io

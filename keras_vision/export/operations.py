"""What a LiteRT file is made of: its operations, those in floating point, and those of TensorFlow's own."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Sequence

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from keras_vision.errors import ExportError

_BRIDGES = ("QUANTIZE", "DEQUANTIZE")  # between integers and floats: part of no island
_FLEX = "Flex"


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a file.

    Attributes:
        name: LiteRT's, such as "CONV_2D"; of TensorFlow's own "FlexErfinv".
        output: name of its first output.
        types: of what it takes and gives, constants left out, such as {"INT8"}.
    """

    name: str
    output: str
    types: frozenset[str]

    @property
    def flex(self) -> bool:
        """Whether it is one of TensorFlow's, which run only where the Flex delegate is linked in."""
        return self.name.startswith(_FLEX)

    @property
    def floating(self) -> bool:
        """Whether it computes in floating point."""
        return self.name not in _BRIDGES and bool(self.types & {"FLOAT32", "FLOAT16"})


@dataclasses.dataclass(frozen=True)
class Contents:
    """The operations of a file in their order, and the types of its constants."""

    operations: tuple[Operation, ...]
    constants: frozenset[str]

    @property
    def form(self) -> str:
        """ "float32", "float16", "dynamic" or "int8", by what lies between operations and by the constants."""
        if any("INT8" in operation.types for operation in self.operations):
            return "int8"
        if "INT8" in self.constants:
            return "dynamic"
        return "float16" if "FLOAT16" in self.constants else "float32"

    @property
    def flex(self) -> list[str]:
        """TensorFlow's operations, each once."""
        return sorted({operation.name for operation in self.operations if operation.flex})

    @property
    def islands(self) -> dict[str, int]:
        """Operations that compute in floating point, with how many there are of each."""
        return dict(sorted(Counter(o.name for o in self.operations if o.floating).items()))

    @property
    def fully_quantised(self) -> bool:
        """Whether nothing computes in floating point; conversions at the ends do not count."""
        return self.form == "int8" and not self.islands


def contents(file: str | os.PathLike) -> Contents:
    """Read a LiteRT file.

    Raises:
        ExportError: it is none, or damaged.
    """
    try:
        model = flatbuffer_utils.read_model(os.fspath(file))
        found = [_operation(model, graph, entry) for graph in model.subgraphs for entry in graph.operators]
        stored = {_type(t) for graph in model.subgraphs for t in graph.tensors if _constant(model, t)}
    except Exception as error:  # the generated reader raises whatever a damaged offset leads to
        raise ExportError(f"{file}: damaged, or not a LiteRT model ({error}).") from error
    return Contents(tuple(found), frozenset(stored))


def _operation(model: schema.ModelT, graph: schema.SubGraphT, entry: schema.OperatorT) -> Operation:
    code = model.operatorCodes[entry.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)  # the second is of files from before 2020
    name = code.customCode.decode() if code.customCode else _names(schema.BuiltinOperator)[builtin]
    tensors = [graph.tensors[i] for i in _places(entry.inputs, entry.outputs)]
    types = frozenset(_type(t) for t in tensors if not _constant(model, t))
    return Operation(name, graph.tensors[entry.outputs[0]].name.decode(), types)


def _places(*lists: Sequence[int] | None) -> list[int]:
    return [int(i) for each in lists if each is not None for i in each if i >= 0]


def _constant(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    return model.buffers[tensor.buffer].data is not None


def _type(tensor: schema.TensorT) -> str:
    return _names(schema.TensorType)[tensor.type]


@functools.cache
def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}

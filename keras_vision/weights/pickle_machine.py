"""A pickle is a program for a small stack machine; this one builds plain containers, and imports and calls nothing."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO


class Refused(Exception):
    """Says what the pickle holds that is not accepted."""


@dataclass(frozen=True)
class Global:
    """Something of a module that the pickle asks for by name."""

    name: str  # "module name"


class _Whole:
    """A stream of which no more is read than it holds: what a damaged length claims would be reserved in memory."""

    def __init__(self, stream: BinaryIO):
        here = stream.tell()
        self.stream, self.size = stream, stream.seek(0, io.SEEK_END)
        stream.seek(here)
        self.readline, self.tell = stream.readline, stream.tell

    def read(self, count: int) -> bytes:
        return self.stream.read(min(count, self.size - self.stream.tell()))


_MARK = object()
_PUSH = {  # instructions with their value in the argument
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING",
    "SHORT_BINBYTES", "BINBYTES",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def interpret(stream: BinaryIO, persistent: Callable[[Any], Any], call: Callable[[Any, Any], Any]) -> Any:
    """The value of a pickle that starts where the stream is; the stream is left behind it.

    Args:
        stream: of bytes.
        persistent: makes an object of the identity by which the pickle names something kept outside of it.
        call: gives what the pickle's call of a function, a `Global`, with arguments is to give.

    Raises:
        Refused: an instruction that is not accepted.
        Exception: of many kinds, by `pickletools` and on damaged bytes.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        back = next((i for i, item in enumerate(reversed(stack)) if item is _MARK), None)
        if back is None:
            raise Refused("damaged: an instruction takes back to a mark that is not there.")
        at = len(stack) - 1 - back
        items = stack[at + 1 :]
        del stack[at:]
        return items

    whole: Any = _Whole(stream)
    instruction: tuple[Any, Any, Any]
    for instruction in pickletools.genops(whole):
        name, argument = instruction[0].name, instruction[1]
        if name in ("PROTO", "FRAME"):
            continue
        if name == "STOP":
            return stack.pop()
        if name in _PUSH:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _TUPLES:
            count = len(stack) - _TUPLES[name]
            stack[count:] = [tuple(stack[count:])]
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "LIST":
            stack.append(since_mark())
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else since_mark()
            of_type(stack[-1], list).extend(items)
        elif name in ("DICT", "SETITEM", "SETITEMS"):
            if name == "SETITEM":
                value, key = stack.pop(), stack.pop()
                items = [key, value]
            else:
                items = since_mark()
            if name == "DICT":
                stack.append({})
            of_type(stack[-1], dict).update(pairs(zip(items[::2], items[1::2], strict=True)))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(Global(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(Global(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(persistent(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(call(function, arguments))
        elif name == "BUILD":
            stack.pop()
            of_type(stack[-1], dict)  # of a state dict: its versions
        else:
            raise Refused(f"the pickle instruction {name}, which no state dict needs, is refused.")
    raise Refused("the pickle has no end.")


def pairs(items: Iterable[Any]) -> dict[Any, Any]:
    """A dictionary whose keys are numbers and texts.

    Raises:
        Refused: another key.
    """
    # A key that holds keys that hold keys could take for ever to hash.
    return {key if isinstance(key, int | float) else of_type(key, str): value for key, value in items}


def of_type(value: Any, kind: type) -> Any:
    """The value, if it is of this type.

    Raises:
        Refused: it is not.
    """
    if not isinstance(value, kind):
        raise Refused(f"an instruction for a {kind.__name__} meets a {type(value).__name__}; refused.")
    return value

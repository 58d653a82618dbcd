"""What TensorFlow says of an operation, as the package says it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from keras_vision.errors import KerasVisionError


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turns TensorFlow's complaint about an argument of an eager call into a KerasVisionError, about memory into a
    MemoryError."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        raise KerasVisionError(_first_line(error)) from None
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(_first_line(error)) from None


def _first_line(error: Exception) -> str:
    # TensorFlow wraps the message: "{{function_node ...}} message [Op:Name] name:"
    message = str(getattr(error, "message", error))
    return re.sub(r"^\{\{.*?\}\} |( \[Op:.*| name: .*)$", "", message.partition("\n")[0])

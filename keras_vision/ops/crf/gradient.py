"""Gradients of the compiled operations, which are operations themselves."""

from __future__ import annotations

import contextlib
from typing import Any

from keras_vision.ops.crf.readable import readable_errors


def register(module: Any) -> None:
    """Tells TensorFlow the gradients of the operations of a module, once a process."""
    with contextlib.suppress(KeyError):  # this package was imported before, and taken out of sys.modules
        _register(module)


def _register(module: Any) -> None:
    import tensorflow as tf

    @tf.RegisterGradient("KerasVisionPermutohedralFilter")
    def _transposed(op: Any, gradient: Any) -> tuple[Any, None]:
        """The filter is linear in the values: their gradient goes through the transposed filter."""
        reverse, level = not op.get_attr("reverse"), op.get_attr("level")
        features = op.inputs[1]
        with readable_errors():
            return module.keras_vision_permutohedral_filter(gradient, features, reverse=reverse, level=level), None

    @tf.RegisterGradient("KerasVisionDenseCrf")
    def _backwards(op: Any, gradient: Any, _: Any) -> tuple[Any, ...]:
        """Of logits, kernel weights and penalties; the image and the thetas have none.

        Numbers of the caller's, which are no tensors, have none, either: so a kernel of weight 0 is computed only where
        its weight may be learned.
        """
        names = ("iterations", "normalization", "level", "learn_weights", "learn_penalties")
        options = {name: op.get_attr(name) for name in names}
        with readable_errors():
            logits, weights, penalties = module.keras_vision_dense_crf_gradient(
                *op.inputs, *op.outputs, gradient, **options
            )
        learned = weights if options["learn_weights"] else None, penalties if options["learn_penalties"] else None
        return logits, None, learned[0], None, None, learned[1]

"""What in an image a score depends on: its gradient by the image, with three rules for the way back through a ReLU.

Where f goes into a ReLU and the gradient g comes back to it, what goes on is ``g * (f > 0)`` in backpropagation
(saliency), ``g * (g > 0)`` in the deconvnet, and ``g * (f > 0) * (g > 0)`` in guided backpropagation. A ReLU with an
upper bound, such as ReLU6, is ``min(relu(f), bound)``: the rule is the ReLU's, and nothing comes back to it where f is
the bound or more. Leaky and thresholded ReLUs have no such rule. Other activations keep their own gradient.

Sources: Simonyan et al. (2013), section 3; Zeiler & Fergus (2013), section 2.1; All-CNN (Springenberg et al., 2014),
section 3.4 and Figure 1.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.ops.gradient import gradient

_SCORES = (keras.activations.softmax, keras.activations.sigmoid)
_BOUNDS = {"relu": math.inf, "relu6": 6.0, "leakyrelu": None, "prelu": None}


def saliency(model: keras.Model, images: Any, classes: Any = None, layer: str | None = None) -> np.ndarray:
    """The gradient of each image's score of its class, by the image.

    Args:
        model: functional; of several outputs the first counts. A softmax or sigmoid at its end is left out.
        images: `(n, h, w, c)`, preprocessed.
        classes: number of a class for each image `(n,)`, or one for all; None for the one of the highest score.
        layer: in place of the scores, the highest value of a channel of this layer's map, where `classes` numbers
            channels.

    Returns:
        `(n, h, w, c)` float32.

    Raises:
        KerasVisionError: images of another shape or not finite, a class that there is not, or no such layer.

    Source: Simonyan et al. (2013), section 3.
    """
    return _gradient(model, images, classes, layer, None)


def deconvnet(model: keras.Model, images: Any, classes: Any = None, layer: str | None = None) -> np.ndarray:
    """As `saliency`, but of what comes back to a ReLU only what is above 0 goes on, wherever the ReLU was active.

    Max pooling remembers its maxima, as with the paper's switches. The paper starts from a single activation, for which
    give `layer`: of a score that is a mean over all positions, as SqueezeNet's, hardly anything comes back.

    Raises:
        KerasVisionError: a model without ReLU, or with a leaky or thresholded one; and see `saliency`.

    Source: Zeiler & Fergus (2013), section 2.1.
    """
    return _gradient(model, images, classes, layer, deconvnet_relu)


def guided_backpropagation(
    model: keras.Model, images: Any, classes: Any = None, layer: str | None = None
) -> np.ndarray:
    """As `saliency`, but through a ReLU that was active goes only what is above 0.

    Raises:
        KerasVisionError: a model without ReLU, or with a leaky or thresholded one; and see `saliency`.

    Source: All-CNN (Springenberg et al., 2014), section 3.4.
    """
    return _gradient(model, images, classes, layer, guided_relu)


@ops.custom_gradient
def guided_relu(x: Any) -> tuple[Any, Callable[..., Any]]:
    """ReLU, whose gradient is that of guided backpropagation."""

    def back(*given: Any, upstream: Any = None) -> Any:
        (g,) = given if upstream is None else (upstream,)
        return ops.where(ops.logical_and(x > 0, g > 0), g, ops.zeros_like(g))

    return ops.relu(x), back


@ops.custom_gradient
def deconvnet_relu(x: Any) -> tuple[Any, Callable[..., Any]]:
    """ReLU, whose gradient is that of the deconvnet."""

    def back(*given: Any, upstream: Any = None) -> Any:
        (g,) = given if upstream is None else (upstream,)
        return ops.relu(g)

    return ops.relu(x), back


def _gradient(model: keras.Model, images: Any, classes: Any, layer: str | None, relu: Any) -> np.ndarray:
    images = checked_images(model, images)
    source = keras.Model(model.input, tap(model, layer)) if layer else score_model(model)
    if relu is not None:
        source = with_relu(source, relu)
    chosen = chosen_classes(source, images, classes)
    return gradient(lambda x: ops.sum(ops.multiply(_scores(source(x, training=False)), chosen)), images)


def score_model(model: keras.Model) -> keras.Model:
    """A copy that ends in the first output's scores before softmax or sigmoid; weights are the model's."""
    source = keras.Model(model.input, keras.tree.flatten(model.outputs)[0])
    last = source.outputs[0]._keras_history.operation

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if layer is last and isinstance(layer, layers.Softmax):
            return layers.Activation("linear", name=layer.name, dtype=layer.dtype_policy)
        if layer is last and getattr(layer, "activation", None) in _SCORES:
            config["activation"] = "linear"
        return layer.__class__.from_config(config)

    return _with_weights_of(source, graph.cloned(source, clone_function=clone))


def with_relu(model: keras.Model, relu: Any) -> keras.Model:
    """A copy with another ReLU, in nested models too; of one with an upper bound, the bound stays.

    Raises:
        KerasVisionError: there is none; or there are leaky or thresholded ones, or ones inside of other layers.
    """
    replaced: list[str] = []
    others: list[str] = []

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return graph.cloned(layer, clone_function=clone)
        config, own = layer.get_config(), getattr(layer, "activation", None)
        found = own if _is_relu(own) else layer
        if _is_relu(found) and (bound := _bound(found)) is not None:
            replaced.append(layer.name)
            rule = _bounded(relu, bound)
            if found is not own:
                return layers.Activation(rule, name=layer.name, dtype=getattr(layer, "dtype_policy", None))
            config["activation"] = rule
        elif any(_is_relu(part) or _is_relu(getattr(part, "activation", None)) for part in _with_parts(layer)):
            others.append(layer.name)
        return layer.__class__.from_config(config)

    copy = graph.cloned(model, clone_function=clone)
    if others:
        raise KerasVisionError(
            f"{model.name} has ReLUs that are leaky, have a threshold or are inside of another layer: "
            f"{', '.join(others)}; the rule is for ReLU alone, with an upper bound or without. Use saliency."
        )
    if not replaced:
        raise KerasVisionError(f"{model.name} has no ReLU, of whose gradient this is a rule; use saliency.")
    return _with_weights_of(model, copy)


def _kind(operation: Any) -> str:
    """Name of a function, or of the class of a layer or operation: `relu` of ReLU in any of these forms."""
    return getattr(operation, "__name__", type(operation).__name__).replace("_", "").lower()


def _is_relu(operation: Any) -> bool:
    return _kind(operation) in _BOUNDS


def _bound(operation: Any) -> float | None:
    """What the output of a ReLU does not exceed; None of a leaky or thresholded one."""
    if getattr(operation, "negative_slope", 0) or getattr(operation, "threshold", 0):
        return None
    highest = getattr(operation, "max_value", None)
    return _BOUNDS[_kind(operation)] if highest is None else float(highest)


def _bounded(relu: Any, bound: float) -> Callable[[Any], Any]:
    """``min(relu(x), bound)``, whose gradient is 0 at the bound."""

    def bounded(x: Any) -> Any:
        y = relu(x)
        return ops.where(y < bound, y, bound)

    return relu if bound == math.inf else bounded


def _with_parts(layer: Any) -> list[Any]:
    """A layer and those inside of it, such as the one of a `TimeDistributed`."""
    return layer._flatten_layers() if isinstance(layer, layers.Layer) else [layer]


def _with_weights_of(model: keras.Model, copy: keras.Model) -> keras.Model:
    copy.set_weights(model.get_weights())
    return copy


def checked_images(model: keras.Model, images: Any) -> np.ndarray:
    """Images as float32 `(n, h, w, c)`.

    Raises:
        KerasVisionError: no functional model of one input, images of another shape than it takes, or not finite.
    """
    if not hasattr(model, "operations") or len(model.inputs) != 1:
        raise KerasVisionError(f"{type(model).__name__}: give a functional model of one input.")
    images, shape = np.asarray(images, np.float32), tuple(model.inputs[0].shape)
    fits = len(shape) == images.ndim and all(own in (None, size) for own, size in zip(shape, images.shape, strict=True))
    if not fits or not len(images):
        raise KerasVisionError(f"images of shape {images.shape}; {model.name} takes {shape}, at least one of them.")
    if not np.isfinite(images).all():
        raise KerasVisionError("some pixels are not finite; give preprocessed images.")
    return images


def tap(model: keras.Model, name: str) -> Any:
    """The symbolic output of a layer.

    Raises:
        KerasVisionError: no such layer.
    """
    known = {layer.name: layer for layer in model.layers}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise KerasVisionError(f"{model.name} has no layer {name!r}. {'Near: ' + ', '.join(near) if near else ''}")
    return graph.call_of(known[name])[1]


def chosen_classes(model: keras.Model, images: np.ndarray, classes: Any) -> np.ndarray:
    """One-hot rows of the classes, `(n, k)` float32; by default of the highest score.

    Raises:
        KerasVisionError: classes of another number than images, or ones that the model does not have.
    """
    count = int(model.outputs[0].shape[-1])
    if classes is None:
        classes = ops.convert_to_numpy(_scores(model(images, training=False))).argmax(axis=1)
    given = np.asarray(classes)
    if given.shape not in ((), (len(images),)) or not np.issubdtype(given.dtype, np.integer):
        raise KerasVisionError(f"classes={classes!r}; give one whole number, or one for each of {len(images)} images.")
    if given.min() < 0 or given.max() >= count:
        raise KerasVisionError(f"classes={classes!r}; {model.name} has those from 0 to {count - 1}.")
    return np.eye(count, dtype=np.float32)[np.broadcast_to(given, len(images))]


def _scores(outputs: Any) -> Any:
    """`(n, k)`: of maps the highest value of each channel."""
    return outputs if len(outputs.shape) == 2 else ops.max(outputs, axis=tuple(range(1, len(outputs.shape) - 1)))

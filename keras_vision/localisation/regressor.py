"""From a classifier to a network that predicts the object's box."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
from keras import layers

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel

FINE_TUNE = ("all", "dense")


def box_regressor(classifier: keras.Model, per_class: bool = False, fine_tune: str = "all") -> VisionModel:
    """A copy of the classifier whose last layer, a new dense layer "boxes", predicts boxes in place of classes.

    A box is (centre x, centre y, width, height) in fractions of the network's input size; see `encode_boxes`. The new
    layer is random, repeatable through `keras.utils.set_random_seed`; all other weights are the classifier's. A
    classifying convolution, as SqueezeNet's conv10, gives way to a global average pooling and the dense layer. Of
    several outputs the first is taken.

    The card's `output` is "features": evaluation and the command line then do not take the boxes for classes.

    Args:
        classifier: model of a fixed input size, `(n, h, w, c) -> (n, classes)`.
        per_class: `(n, h, w, c) -> (n, 4 * classes)`, four outputs for each class in turn (PCR), in place of `(n, 4)`,
            one box whatever the class (SCR).
        fine_tune: "all" layers, or the "dense" ones alone: all up to the last feature map are frozen.

    Raises:
        KerasVisionError: the model gives no classes, has an open input size, or `fine_tune` is something else.

    Source: VGG (Simonyan & Zisserman, 2014), appendix A.1.
    """
    if fine_tune not in FINE_TUNE:
        raise KerasVisionError(f"fine_tune={fine_tune!r}; accepted: {', '.join(FINE_TUNE)}.")
    last = _classifying_layer(classifier)
    source = keras.Model(classifier.input, last.input)
    copy = graph.cloned(source)
    copy.set_weights(source.get_weights())
    x = copy.output
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="boxes_pool")(x)
    classes = last.output.shape[-1] if per_class else 1
    x = layers.Dense(4 * classes, dtype="float32", name="boxes")(x)
    regressor = VisionModel(copy.input, x, name=f"{classifier.name}_boxes")
    trunk = _trunk(x) if fine_tune == "dense" else set()
    for layer in regressor.layers:
        layer.trainable = layer.name not in trunk
    return _with_card(regressor, classifier, classes)


def _classifying_layer(classifier: keras.Model) -> Any:
    """The last dense layer or convolution before the first output."""
    output = keras.tree.flatten(classifier.outputs)[0]
    if len(output.shape) == 2 and None not in classifier.input_shape[1:]:
        for operation in graph.ancestors(output):
            if isinstance(operation, layers.Dense | layers.Conv2D):
                if operation.output.shape[-1] == output.shape[-1]:
                    return operation
                break
    raise KerasVisionError(
        f"{classifier.name} takes {classifier.input_shape} and gives {output.shape}; a box regressor is made from a "
        "classifier of a fixed input size whose last dense layer or convolution has an output for each class."
    )


def _trunk(output: Any) -> set[str]:
    """Names of the layers up to the last feature map."""
    last = next(op.output for op in graph.ancestors(output) if len(op.output.shape) == 4)
    return {operation.name for operation in graph.ancestors(last)}


def _with_card(regressor: VisionModel, classifier: keras.Model, classes: int) -> VisionModel:
    if not isinstance(classifier, VisionModel):
        return regressor
    outputs = "the box alone" if classes == 1 else f"a box for each of {classes} classes"
    card = dataclasses.replace(
        classifier.card,
        parameters=regressor.count_params(),
        trainable_parameters=sum(math.prod(weight.shape) for weight in regressor.trainable_weights),
        multiply_adds=graph.multiply_adds(regressor),
        output="features",
        deviations=(*classifier.card.deviations, f"in place of the classes the last layer predicts {outputs}"),
    )
    return regressor.with_card(card)

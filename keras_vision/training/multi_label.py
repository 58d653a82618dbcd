"""Classifiers of several labels per image, from any network: one output of probabilities, trained through its logits.

    groups = kv.data.LabelGroups(images.class_names, [("clear", "cloudy", "haze", "partly_cloudy")])
    model = kv.training.multi_label_classifier("SqueezeNetV1_1", groups, weights="squeezenet.npz")
    trained = kv.training.logits_model(model)  # the same weights
    kv.training.train_head_only(trained, True)
    trained.compile("adam", kv.training.MultiLabelCrossentropy(groups.positions, from_logits=True))
    trained.fit(batches)
    model.save("model.keras")

docs/multi_label.md goes on with thresholds, ensembles and classical classifiers.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_vision import graph
from keras_vision.applications import create_model
from keras_vision.data.label_groups import LabelGroups
from keras_vision.errors import KerasVisionError
from keras_vision.layers.label_probabilities import LabelProbabilities
from keras_vision.model import VisionModel

HEAD, PROBABILITIES = "label_logits", "label_probabilities"


def multi_label_classifier(backbone: str | keras.Model, groups: LabelGroups, **settings: Any) -> VisionModel:
    """A network that gives the probability of each label, `(n, labels)` in the order of `groups.names`.

    Softmax in each exclusive group, sigmoid of the other labels, of the logits of a dense layer `label_logits`. It
    stands in the place of a classifier's last layer and all that follows it: SqueezeNet's last ReLU, for one, would
    keep each sigmoid above a half.

    Args:
        backbone: name of a model, or a classifier of this package, which keeps all layers before its last with a
            kernel, dropout included; or a network of features `(n, c)` or `(n, h, w, c)`. Feature maps are averaged
            over positions.
        groups: the labels.
        **settings: of the model's constructor, such as weights and input_shape.

    Raises:
        KerasVisionError: no such model, a network whose output is neither, or settings for a network that is built
            already.
    """
    if settings and not isinstance(backbone, str):
        raise KerasVisionError(f"{', '.join(settings)}: settings go with a model's name, not with a network.")
    source = create_model(backbone, **settings) if isinstance(backbone, str) else backbone
    features = _features(source)
    if len(features.shape) == 4:
        features = layers.GlobalAveragePooling2D(name="label_pool")(features)
    logits = layers.Dense(len(groups), dtype="float32", name=HEAD)(features)
    outputs = LabelProbabilities(groups.positions, name=PROBABILITIES)(logits)
    model = VisionModel(source.input, outputs, name=source.name)
    model.labels = groups.names
    if isinstance(source, VisionModel) and source._card is not None:
        trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        counts = dict(parameters=model.count_params(), trainable_parameters=trainable)
        multiply_adds = graph.multiply_adds(model)
        model.with_card(dataclasses.replace(source.card, output="probability", multiply_adds=multiply_adds, **counts))
    return model


def logits_model(model: keras.Model) -> VisionModel:
    """The same network, with the same weights, up to the logits: what is compiled with a loss of logits and trained.

    Raises:
        KerasVisionError: not a network of `multi_label_classifier`.
    """
    last = _probabilities(model)
    result = VisionModel(model.input, last.input, name=model.name)
    result.labels = getattr(model, "labels", None)
    if isinstance(model, VisionModel) and model._card is not None:
        result.with_card(dataclasses.replace(model.card, output="logit"))
    return result


def groups_of(model: keras.Model) -> LabelGroups:
    """The labels and exclusive groups of a network of `multi_label_classifier`, also of one loaded from a file.

    Raises:
        KerasVisionError: not such a network, or one without labels.
    """
    columns = _probabilities(model).groups
    names = getattr(model, "labels", None)
    if names is None:
        raise KerasVisionError(f"{model.name} has no labels; set model.labels.")
    return LabelGroups(names, tuple(tuple(names[column] for column in group) for group in columns))


def train_head_only(model: keras.Model, only: bool) -> None:
    """Let the layer `label_logits` alone learn, or all again; compile the model after it.

    Batch norm that does not learn runs in inference mode: Keras sees to that. Networks that share the layers, as those
    of `logits_model`, follow.
    """
    for layer in model.layers:
        layer.trainable = not only or layer.name == HEAD


def _features(model: keras.Model) -> Any:
    """What a classifier's last layer sees, or the features that a network gives."""
    outputs = keras.tree.flatten(model.outputs)
    card = model._card if isinstance(model, VisionModel) else None
    if card is not None and card.output != "features":
        return next(found for found in graph.ancestors(outputs[0]) if hasattr(found, "kernel")).input
    if len(outputs) != 1 or len(outputs[0].shape) not in (2, 4):
        shapes = [tuple(output.shape) for output in outputs]
        raise KerasVisionError(f"{model.name} gives {shapes}; give a network of features (n, c) or (n, h, w, c).")
    return outputs[0]


def _probabilities(model: keras.Model) -> LabelProbabilities:
    last = keras.tree.flatten(model.outputs)[0]._keras_history.operation
    if not isinstance(last, LabelProbabilities):
        raise KerasVisionError(f"{model.name} does not end in LabelProbabilities; build it by multi_label_classifier.")
    return last

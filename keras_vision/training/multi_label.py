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

from keras_vision.applications import create_model
from keras_vision.data.label_groups import LabelGroups
from keras_vision.errors import KerasVisionError
from keras_vision.layers.label_probabilities import LabelProbabilities
from keras_vision.model import VisionModel
from keras_vision.registry import find

HEAD, PROBABILITIES = "label_logits", "label_probabilities"


def multi_label_classifier(backbone: str | keras.Model, groups: LabelGroups, **settings: Any) -> VisionModel:
    """A network that gives the probability of each label, `(n, labels)` in the order of `groups.names`.

    Softmax in each exclusive group, sigmoid of the other labels.

    Args:
        backbone: name of a model, which is built with its own classifier's layers and as many outputs as labels; or a
            network of features `(n, c)` or `(n, h, w, c)`, which are averaged over positions, and which gets a dense
            layer `label_logits`.
        groups: the labels.
        **settings: of the model's constructor, such as weights and input_shape.

    Raises:
        KerasVisionError: no such model, a network of several outputs or of something else than features, or settings
            for a network that is built already.
    """
    if isinstance(backbone, str):
        source = create_model(backbone, classes=len(groups), classifier_activation=None, **settings)
        logits = _one_output(source)
    else:
        if settings:
            raise KerasVisionError(f"{', '.join(settings)}: settings go with a model's name, not with a network.")
        source, logits = backbone, _dense_head(backbone, len(groups))
    outputs = LabelProbabilities(groups.positions, name=PROBABILITIES)(logits)
    model = VisionModel(source.input, outputs, name=source.name)
    model.labels = groups.names
    if isinstance(source, VisionModel) and source._card is not None:
        trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        counts = dict(parameters=model.count_params(), trainable_parameters=trainable)
        model.with_card(dataclasses.replace(source.card, output="probability", **counts))
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
    """Let the classifier's layers alone learn, or all again; compile the model after it.

    Batch norm that does not learn runs in inference mode: Keras sees to that. Networks that share the layers, as those
    of `logits_model`, follow.
    """
    names = [layer.name for layer in model.layers]
    head = (HEAD,) if HEAD in names else find(model.card.name).head_layers
    for layer in model.layers:
        layer.trainable = not only or layer.name.startswith(tuple(head))


def _one_output(model: keras.Model) -> Any:
    outputs = keras.tree.flatten(model.outputs)
    if len(outputs) != 1:
        raise KerasVisionError(f"{model.name} has {len(outputs)} outputs; build it without auxiliary classifiers.")
    return outputs[0]


def _dense_head(backbone: keras.Model, labels: int) -> Any:
    features = _one_output(backbone)
    card = backbone._card if isinstance(backbone, VisionModel) else None
    if len(features.shape) not in (2, 4) or (card is not None and card.output != "features"):
        given = "classes" if card is not None and card.output != "features" else features.shape
        raise KerasVisionError(
            f"{backbone.name} gives {given}; give a network of features, built with include_top=False, or a name."
        )
    if len(features.shape) == 4:
        features = layers.GlobalAveragePooling2D(name="label_pool")(features)
    return layers.Dense(labels, dtype="float32", name=HEAD)(features)


def _probabilities(model: keras.Model) -> LabelProbabilities:
    last = keras.tree.flatten(model.outputs)[0]._keras_history.operation
    if not isinstance(last, LabelProbabilities):
        raise KerasVisionError(f"{model.name} does not end in LabelProbabilities; build it by multi_label_classifier.")
    return last

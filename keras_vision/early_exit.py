"""Networks with classifiers on the way, run so that images that leave by one of them are not computed further.

Source: BranchyNet (Teerapittayanon et al., 2016), section III.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Collection, Sequence
from typing import Any

import keras
import numpy as np

from keras_vision import graph
from keras_vision.errors import KerasVisionError
from keras_vision.model import VisionModel
from keras_vision.runtime.exits import Exited, Following, checked_thresholds, entropy, in_batches, softmax

__all__ = ["EarlyExit", "Exited", "Stage", "checked_thresholds", "entropy", "stages"]


@dataclasses.dataclass(frozen=True)
class Stage:
    """The part of a network from one exit to the next.

    Attributes:
        exit: layer that is its exit.
        model: from a list of the tensors that it takes to a list of the exit's scores `(n, classes)` and of the tensors
            that the next stage takes.
        multiply_adds: of one image; None where the input size is open.
    """

    exit: str
    model: keras.Model
    multiply_adds: int | None


def stages(model: keras.Model, exits: Collection[str] | None = None) -> tuple[Stage, ...]:
    """A network cut after each exit, with copies of its weights. Computing all stages computes the network once.

    Args:
        model: functional, of one input.
        exits: layers that give scores `(n, classes)`, in any order; by default the network's outputs.

    Raises:
        KerasVisionError: fewer than two exits, no such layer, one that gives no scores, or scores of other classes.
    """
    found = _exits(model, exits)
    copy = graph.cloned(model)
    copy.set_weights(model.get_weights())
    ends = [graph.call_of(copy.get_layer(name))[1] for name in found]
    cut, carried, known = [], list(copy.inputs), {id(tensor) for tensor in copy.inputs}
    for position, (name, end) in enumerate(zip(found, ends, strict=True)):
        known |= {id(graph.call_of(operation)[1]) for operation in graph.ancestors(end)}
        after = _needed(ends[position + 1 :], known)
        past = {id(tensor) for tensor in carried}  # what a stage only hands on; a Keras output must not be an input
        handed = [keras.layers.Identity()(tensor) if id(tensor) in past else tensor for tensor in after]
        part = keras.Model(carried, [end, *handed], name=f"stage{position + 1}")
        part.jit_compile = False  # XLA would compile anew for each number of images that stay
        cut.append(Stage(name, part, _multiply_adds(part)))
        carried = after
    return tuple(cut)


class EarlyExit:
    """A network whose images leave by the first exit of which they are certain enough; the others go on.

    A batch becomes smaller from stage to stage: what has left is no part of it.

    Args:
        model: functional, with a card, or of probabilities; its weights are copied.
        thresholds: entropy, in nats, below which images leave by each exit but the last; see
            `evaluation.search_exits`.
        exits: as of `stages`.

    Raises:
        KerasVisionError: as of `stages`, and thresholds of another number or outside 0 to log(classes).
    """

    def __init__(self, model: keras.Model, thresholds: Sequence[float], exits: Collection[str] | None = None):
        self.stages = stages(model, exits)
        self.logits = isinstance(model, VisionModel) and model.card.output == "logit"
        self.classes = int(self.stages[0].model.outputs[0].shape[-1])
        self.thresholds = checked_thresholds(thresholds, len(self.stages), self.classes)
        self._runs = [_run(stage.model) for stage in self.stages]

    def predict(self, images: Any, batch_size: int = 512) -> Exited:
        """Run images `(n, h, w, c)`, preprocessed, in batches."""
        return in_batches(self._stage, np.asarray(images), self.thresholds, self.classes, batch_size)

    def probabilities(self, images: Any, batch_size: int = 512) -> list[np.ndarray]:
        """Those of every exit for all images, `(n, classes)` each; nobody leaves. For the search of thresholds."""
        images, found = np.asarray(images), [[np.zeros((0, self.classes), np.float32)] for _ in self.stages]
        for start in range(0, len(images), batch_size):
            carried = [images[start : start + batch_size]]
            for number, rows in enumerate(found):
                given, _, following = self._stage(number, carried)
                rows.append(given)
                carried = following()
        return [np.concatenate(rows) for rows in found]

    def _stage(self, number: int, carried: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, Following]:
        scores, *following = map(np.asarray, keras.tree.flatten(self._runs[number](carried)))
        given = softmax(scores) if self.logits else scores
        return given, entropy(given), lambda: following


def _run(model: keras.Model) -> Callable[[list[np.ndarray]], Any]:
    """A stage as one function; with TensorFlow its outputs are not copied, as most images hand nothing on."""
    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch
    model.make_predict_function()
    return lambda carried: model.predict_function([(carried,)])


def _exits(model: keras.Model, names: Collection[str] | None) -> list[str]:
    """Layers by which images may leave, in the order in which they are computed."""
    if not hasattr(model, "operations") or len(model.inputs) != 1:
        raise KerasVisionError(f"{type(model).__name__}: give a functional model of one input.")
    layers = {layer.name: graph.call_of(layer)[1] for layer in model.operations}
    if names is None:
        names = [tensor._keras_history.operation.name for tensor in model.outputs]
    for name in names:
        if name not in layers:
            near = difflib.get_close_matches(name, layers, n=3)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Outputs: {', '.join(model.output_names)}."
            raise KerasVisionError(f"{model.name} has no layer {name!r} to leave by. {hint}")
    shapes = {name: tuple(layers[name].shape[1:]) for name in names}
    if len(shapes) < 2 or len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise KerasVisionError(
            f"exits {shapes}; give two or more layers that give scores of the same classes, `(n, classes)` each."
        )
    costs = {name: len(list(graph.ancestors(layers[name]))) for name in names}
    return sorted(costs, key=lambda name: costs[name])


def _needed(ends: Sequence[Any], known: set[int]) -> list[Any]:
    """The tensors among the known ones that the later exits are computed from directly."""
    needed: dict[int, Any] = {}
    for end in ends:
        for operation in graph.ancestors(end):
            if id(graph.call_of(operation)[1]) not in known:
                needed |= {id(tensor): tensor for tensor in graph.call_of(operation)[0] if id(tensor) in known}
    return list(needed.values())


def _multiply_adds(part: keras.Model) -> int | None:
    sides = {side for tensor in part.inputs for side in tensor.shape[1:]}
    return None if None in sides else graph.multiply_adds(part)

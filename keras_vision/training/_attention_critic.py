"""What DREAL looks at in a network: its attention modules, the same network with one of them switched off, a critic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from keras_vision import graph
from keras_vision.errors import KerasVisionError

Pairs = Sequence[tuple[str, str]]  # names of the layers that give features and their attention map


def attention_modules(network: keras.Model) -> tuple[tuple[str, str], ...]:
    """The squeeze-and-excitation modules of a network, in the order of computation.

    Found are the products of `keras_vision.layers.squeeze_excite`: layers `Multiply` of a feature map and of what a
    layer called `..._gate` gives. Those inside nested models are not.

    Returns:
        Of each module the name of the layer whose output is weighed, and that of the layer which gives the weights.
    """
    found = []
    for layer in network.layers:
        if isinstance(layer, layers.Multiply):
            names = [x._keras_history.operation.name for x in graph.call_of(layer)[0]]
            gates = [name for name in names if name.endswith("_gate")]
            if len(names) == 2 and len(gates) == 1:
                found.append((next(name for name in names if name not in gates), gates[0]))
    return tuple(found)


def check_modules(network: keras.Model, modules: Pairs) -> None:
    """Refuse pairs of layers that are no attention modules of the network.

    Raises:
        KerasVisionError: no modules, a layer that the network does not have, or maps that cannot weigh the features.
    """
    if not modules:
        raise KerasVisionError(
            f"{network.name} has no squeeze-and-excitation; give attentions=((features, attention), ...), the names of "
            "the layers which give the features and the map of each attention module, or a network that has some."
        )
    maps = [pair[-1] for pair in modules]
    for name in maps:
        if maps.count(name) > 1:
            raise KerasVisionError(f"attentions={tuple(modules)!r} have {name} twice; name each map once.")
    known = {operation.name: operation for operation in network.operations}
    for pair in modules:
        if len(pair) != 2 or not set(pair) <= known.keys():
            raise KerasVisionError(
                f"attention module {pair!r}: give the names of two layers of {network.name}; those of attention "
                f"modules that are found by themselves: {attention_modules(network)!r}."
            )
        features, attention = (tuple(graph.call_of(known[name])[1].shape) for name in pair)
        fits = len(features) == len(attention) == 4
        if not fits or any(a not in (1, f) for f, a in zip(features[1:], attention[1:], strict=True)):
            raise KerasVisionError(
                f"attention module {pair!r}: a map of shape {attention} does not weigh features of shape {features}; "
                "both are (n, h, w, c), and the map may have 1 where the features have more."
            )


@keras.saving.register_keras_serializable("keras_vision")
class _Switch(layers.Layer):
    """An attention map `(n, ...)` where it is on, `(n,)`, and else the mean of the image's map, for all its cells."""

    def call(self, inputs: Any) -> Any:
        attention, on = inputs
        axes = tuple(range(1, len(attention.shape)))
        mean = ops.mean(attention, axis=axes, keepdims=True)
        return ops.where(ops.reshape(on, (-1, *(1 for _ in axes))), attention, mean)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape[0])


def observed(network: keras.Model, modules: Pairs) -> keras.Model:
    """The same layers with a switch behind each attention map.

    Takes images and, `(n, modules)`, which maps are on; gives the output, the features of each module, and its map
    before the switch. With all on it computes what the network does.
    """
    image = keras.Input(batch_shape=network.inputs[0].shape, dtype=network.inputs[0].dtype)
    on = keras.Input((len(modules),), dtype="bool", name="on")
    places = {attention: place for place, (_, attention) in enumerate(modules)}
    seen = {network.inputs[0]._keras_history.operation.name: image}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        seen[layer.name] = x = layer(*args, **kwargs)
        return _Switch(name=f"{layer.name}_switch")([x, on[:, places[layer.name]]]) if layer.name in places else x

    # What `keras.models.clone_model` does, which allows no further input.
    output = network._run_through_graph(image, call_fn=call)
    features, maps = ([seen[pair[side]] for pair in modules] for side in (0, 1))
    return keras.Model([image, on], [keras.tree.flatten(output)[0], features, maps])


def described(features: Any, attention: Any) -> tuple[Any, Any]:
    """State and action of a module as vectors: two times `(n, h, w, c)` to `(n, c)` and `(n, d)`.

    The state is the mean of the features over positions. The action is the mean of the map; for a map with positions
    joined by the mean of the weighed features, which says where the map is high.
    """
    features, attention = (ops.cast(x, keras.config.floatx()) for x in (features, attention))
    state, action = (ops.mean(x, axis=(1, 2)) for x in (features, attention))
    if tuple(attention.shape[1:3]) == (1, 1):
        return state, action
    return state, ops.concatenate([action, ops.mean(features * attention, axis=(1, 2))], axis=-1)


def critic_of(pairs: Sequence[tuple[Any, Any]], units: int) -> keras.Model:
    """The critic of modules with these states and actions: `[state, action, ...]` to scores `(n, modules)`.

    A layer of each module's own brings state and action to `units` numbers; one LSTM goes over the modules in the order
    of computation, and one linear layer scores what it says of each.
    """
    policy = keras.config.floatx()  # also where the network computes in float16
    inputs = [keras.Input((x.shape[-1],), dtype=policy) for pair in pairs for x in pair]
    levels = []
    for place in range(len(pairs)):
        x = layers.Concatenate(dtype=policy)(inputs[2 * place : 2 * place + 2])
        levels.append(layers.Dense(units, "relu", dtype=policy, name=f"module_{place + 1}")(x))
    x = layers.LSTM(units, return_sequences=True, dtype=policy, name="recurrent")(ops.stack(levels, axis=1))
    scores = layers.Dense(1, dtype=policy, name="score")(x)
    return keras.Model(inputs, layers.Reshape((len(pairs),), dtype=policy)(scores), name="critic")

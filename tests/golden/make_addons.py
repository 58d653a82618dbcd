"""Writes addons.npz: what tensorflow-addons 0.23 computes, for values and weights made by numpy from a name.

Needs tensorflow-addons, which no supported TensorFlow runs: in an environment of its own with Python 3.11,
`pip install tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0`, then `python tests/golden/make_addons.py`.
"""

import itertools
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("addons.npz")
Golden = Iterator[tuple[str, Any]]

SURVIVAL = (0.0, 0.3, 0.8, 1.0)
PYRAMIDS = {  # bins, and the size of the map
    "dividing": (((1, 1), (2, 3), (4, 6)), (12, 24)),
    "cut": (((1, 1), (2, 2), (4, 4)), (13, 19)),
}
STEPS = 12
AVERAGES: dict[str, dict[str, Any]] = {  # arguments of MovingAverage
    "plain": dict(average_decay=0.9),
    "start_step_1": dict(average_decay=0.9, start_step=1),
    "start_step_4": dict(average_decay=0.8, start_step=4),
    "dynamic_decay": dict(average_decay=0.9, dynamic_decay=True),
    "both": dict(average_decay=0.4, start_step=3, dynamic_decay=True),
}
CUTOUTS = {  # height and width of the mask, and its centres
    "inside": ((4, 4), ((4, 5), (3, 6))),
    "over_the_edge": ((6, 6), ((0, 0), (9, 11))),
    "oblong": ((2, 8), ((5, 3), (8, 8))),
}
F_BETA = tuple(itertools.product((None, "micro", "macro", "weighted"), (1.0, 0.5, 2.0), (None, 0.5), (False, True)))
BATCH, TIME, DEPTH, UNITS, CELL, ATTENTION = 3, 5, 4, 6, 6, 7
LENGTHS = (5, 3, 1)  # of each image's memory
MECHANISMS: dict[str, dict[str, Any]] = {
    "BahdanauAttention": {}, "BahdanauAttention.normalize": dict(normalize=True),
    "LuongAttention": {}, "LuongAttention.scale": dict(scale=True),
}  # fmt: skip
WORDS, STATE, LONGEST, START, END = 7, 5, 8, 1, 0
BEAMS = tuple(itertools.product((1, 2, 3, 5), (0.0, 0.6, 1.0)))  # width, weight of the length penalty


def values(name: str, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Normal values of a name, float32."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)


def variables() -> list[np.ndarray]:
    """A kernel and a bias, as they are before training."""
    return [values("kernel", 3, 4), values("bias", 4)]


def gradients(step: int) -> list[np.ndarray]:
    """Those of `variables` at a step."""
    return [values(f"step {step} {i}", *v.shape) for i, v in enumerate(variables())]


def labels_and_scores() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Several labels for each of 20 samples, their scores (one sample has none), the samples' weights."""
    rng = np.random.default_rng(7)
    scores = rng.random((20, 4), dtype=np.float32)
    scores[3] = 0
    return rng.integers(0, 2, (20, 4)), scores, rng.random(20, dtype=np.float32)


def decoder() -> dict[str, np.ndarray]:
    """Weights of ``state = tanh(embedded[word] @ inner + state @ recurrent)``, ``logits = state @ outer + bias``.

    The bias makes the end so likely that some sequences end and some do not.
    """
    bias = np.zeros(WORDS, np.float32)
    bias[END] = 2.5
    return {
        "embedded": values("embedded", WORDS, 3), "inner": values("inner", 3, STATE),
        "recurrent": values("recurrent", STATE, STATE), "outer": values("outer", STATE, WORDS),
        "bias": bias, "state": values("state", BATCH, STATE),
    }  # fmt: skip


def stochastic_depth(tfa: Any) -> Golden:
    """Inference for each survival probability; in training, the outcomes of the two certain ones."""
    inputs = [values("shortcut", 2, 4, 4, 3), values("residual", 2, 4, 4, 3)]
    for p in SURVIVAL:
        yield f"inference/{p}", tfa.layers.StochasticDepth(p)(inputs, training=False)
    for p in (0.0, 1.0):
        yield f"training/{p}", tfa.layers.StochasticDepth(p)(inputs, training=True)


def pyramid(tfa: Any) -> Golden:
    for name, (bins, size) in PYRAMIDS.items():
        yield name, tfa.layers.SpatialPyramidPooling2D([list(b) for b in bins])(values(name, 2, *size, 3))


def moving_average(tfa: Any) -> Golden:
    """The averages after each step of Adam."""
    import tensorflow as tf

    for name, arguments in AVERAGES.items():
        own = [tf.Variable(v) for v in variables()]
        optimizer = tfa.optimizers.MovingAverage(tf.keras.optimizers.legacy.Adam(0.1), **arguments)
        kernels = []
        for step in range(STEPS):
            optimizer.apply_gradients(zip(gradients(step), own, strict=True))
            kernels.append(optimizer.get_slot(own[0], "average").numpy())
        yield name, kernels


def multi_optimizer(tfa: Any) -> Golden:
    """Kernels of three layers, the first with momentum, the others with Adam."""
    import tensorflow as tf

    legacy, layers = tf.keras.optimizers.legacy, [tf.keras.layers.Dense(4, name=f"dense_{i}") for i in range(3)]
    model = tf.keras.Sequential([tf.keras.Input((4,)), *layers])
    for layer in layers:
        layer.set_weights([values(layer.name, 4, 4), np.zeros(4, np.float32)])
    pairs = [(legacy.SGD(0.1, momentum=0.9), layers[0]), (legacy.Adam(0.01), layers[1:])]
    optimizer = tfa.optimizers.MultiOptimizer(pairs)
    for step in range(STEPS):
        grads = [values(f"{step} {v.name}", *v.shape) for v in model.trainable_variables]
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
    for layer in layers:
        yield f"{layer.name}/kernel", layer.kernel
        yield f"{layer.name}/bias", layer.bias


def cutout(tfa: Any) -> Golden:
    for name, (size, centres) in CUTOUTS.items():
        yield name, tfa.image.cutout(values("image", 2, 10, 12, 3), size, centres, constant_values=0.5)


def f_beta(tfa: Any) -> Golden:
    labels, scores, weights = labels_and_scores()
    for average, beta, threshold, weighted in F_BETA:
        metric = tfa.metrics.FBetaScore(4, average, beta, threshold)
        for part in (slice(0, 8), slice(8, 20)):
            metric.update_state(labels[part], scores[part], weights[part] if weighted else None)
        yield f"{average}/{beta}/{threshold}/{weighted}", metric.result()


def attention(tfa: Any) -> Golden:
    """Outputs, alignments and states of four steps of a GRU with attention; the weights come along, in Keras' order."""
    import tensorflow as tf

    for name, arguments in MECHANISMS.items():
        kind = getattr(tfa.seq2seq, name.partition(".")[0])
        memory, lengths = tf.constant(values("memory", BATCH, TIME, DEPTH)), tf.constant(LENGTHS)
        mechanism = kind(UNITS, memory, memory_sequence_length=lengths, **arguments)
        gru = tf.keras.layers.GRUCell(CELL)
        cell = tfa.seq2seq.AttentionWrapper(gru, mechanism, attention_layer_size=ATTENTION)
        state = cell.get_initial_state(batch_size=BATCH, dtype=tf.float32)
        cell(tf.constant(values("input 0", BATCH, 2)), state)  # creates the weights
        for i, variable in enumerate(cell.weights):
            variable.assign(values(f"weight {i}", *variable.shape, scale=0.5))
            yield f"{name}/weights/{re.sub(r'(_[0-9]+)?/', '/', variable.name[:-2])}", variable  # no :0, not numbered
        mechanism.setup_memory(memory, memory_sequence_length=lengths)  # again, with the new weights
        for step in range(4):
            output, state = cell(tf.constant(values(f"input {step}", BATCH, 2)), state)
            yield f"{name}/{step}/output", output
            yield f"{name}/{step}/alignments", state.alignments
            yield f"{name}/{step}/state", tf.nest.flatten(state.cell_state)[0]


def beam_search(tfa: Any) -> Golden:
    import tensorflow as tf

    own = decoder()
    for width, penalty in BEAMS:
        cell, output = tf.keras.layers.SimpleRNNCell(STATE, use_bias=False), tf.keras.layers.Dense(WORDS)
        search = tfa.seq2seq.BeamSearchDecoder(
            cell, width, output_layer=output, length_penalty_weight=penalty, maximum_iterations=LONGEST
        )
        cell.build((None, 3))
        cell.set_weights([own["inner"], own["recurrent"]])
        output.build((None, STATE))
        output.set_weights([own["outer"], own["bias"]])
        state = tfa.seq2seq.tile_batch(tf.constant(own["state"]), width)
        start = dict(start_tokens=tf.fill([BATCH], START), end_token=END, initial_state=state)
        found, _, lengths = search(tf.constant(own["embedded"]), **start)
        yield f"{width}/{penalty}/words", tf.transpose(found.predicted_ids, (0, 2, 1))
        yield f"{width}/{penalty}/scores", found.beam_search_decoder_output.scores[:, -1]
        yield f"{width}/{penalty}/lengths", lengths


def main() -> None:
    """Replaces the file."""
    import tensorflow_addons as tfa

    parts = (stochastic_depth, pyramid, moving_average, multi_optimizer, cutout, f_beta, attention, beam_search)
    golden = {f"{part.__name__}/{key}": np.asarray(value) for part in parts for key, value in part(tfa)}
    for key, value in golden.items():
        print(key, value.shape)
    np.savez_compressed(FILE, **golden)


if __name__ == "__main__":
    main()

"""What stands in the places of tensorflow-addons gives its numbers; docs/addons.md is the table.

The golden values are those of tensorflow-addons 0.23 on TensorFlow 2.15; tests/golden/make_addons.py wrote them.
"""

import keras
import make_addons
import numpy as np
import pytest
from make_addons import values

from keras_vision.captioning import beam_search
from keras_vision.layers import AttentionCell, SpatialPyramidPooling2D, StochasticDepth
from keras_vision.training import MovingAverage, MultiOptimizer

GOLDEN = np.load(make_addons.FILE)


def test_every_golden_value_is_of_a_part_tested_here_or_with_the_augmentations():
    parts = {key.partition("/")[0] for key in GOLDEN.files}
    tested = {"stochastic_depth", "pyramid", "moving_average", "multi_optimizer", "f_beta", "attention", "beam_search"}
    assert parts == tested | {"cutout"}


# ------------------------------------------------------------------------------------------------ layers


@pytest.mark.parametrize("p", make_addons.SURVIVAL)
def test_stochastic_depth(p):
    inputs = [values("shortcut", 2, 4, 4, 3), values("residual", 2, 4, 4, 3)]
    layer = StochasticDepth(p)
    np.testing.assert_allclose(layer(inputs, training=False), GOLDEN[f"stochastic_depth/inference/{p}"], atol=1e-6)
    if p in (0, 1):  # what training does for certain
        np.testing.assert_allclose(layer(inputs, training=True), GOLDEN[f"stochastic_depth/training/{p}"], atol=1e-6)


@pytest.mark.parametrize("name", make_addons.PYRAMIDS)
def test_spatial_pyramid_pooling(name):
    """The addon averages, after it cut off what the bins do not divide, for each grid anew."""
    bins, (height, width) = make_addons.PYRAMIDS[name]
    x = values(name, 2, height, width, 3)
    pooled = [
        SpatialPyramidPooling2D([grid], "average")(x[:, : height - height % grid[0], : width - width % grid[1]])
        for grid in bins
    ]
    np.testing.assert_allclose(np.concatenate(pooled, axis=1), GOLDEN[f"pyramid/{name}"], atol=1e-6)
    if name == "dividing":
        at_once = SpatialPyramidPooling2D(bins, "average")(x)
        np.testing.assert_allclose(at_once, GOLDEN[f"pyramid/{name}"], atol=1e-6)


def attention_cell(name):
    """Ours with the addon's weights; the normalized form's vector is computed once."""
    kind, _, form = name.partition(".")
    start = f"attention/{name}/weights/"
    theirs = {key.removeprefix(start): GOLDEN[key] for key in GOLDEN.files if key.startswith(start)}
    additive, normalized = kind == "BahdanauAttention", form == "normalize"
    settings = dict(score="additive" if additive else "dot", query_bias=normalized, scale=additive or form == "scale")
    cell = AttentionCell(keras.layers.GRUCell(make_addons.CELL), make_addons.ATTENTION, make_addons.UNITS, **settings)
    memory = values("memory", make_addons.BATCH, make_addons.TIME, make_addons.DEPTH)
    cell(values("input 0", make_addons.BATCH, 2), cell.get_initial_state(make_addons.BATCH), memory)  # builds it
    parts = ("kernel", "recurrent_kernel", "bias")
    cell.cell.set_weights([theirs[f"attention_wrapper/gru_cell/{part}"] for part in parts])
    cell.combined.set_weights([theirs["attention_wrapper/attention_layer/kernel"]])
    cell.keys.set_weights([theirs[f"{kind}/kernel"]])
    if additive:
        vector, query = theirs[f"{kind}/attention_v"], [theirs[f"attention_wrapper/{kind}/kernel"]]
        if normalized:
            vector = theirs[f"{kind}/attention_g"] * vector / np.linalg.norm(vector)
            query.append(theirs[f"{kind}/attention_b"])
        cell.queries.set_weights(query)
        cell.scored.set_weights([vector])
    elif form == "scale":
        cell.scored.set_weights([theirs[f"{kind}/attention_g"]])
    return cell, memory


@pytest.mark.parametrize("name", make_addons.MECHANISMS)
def test_attention_wrapper(name):
    cell, memory = attention_cell(name)
    mask = np.arange(make_addons.TIME) < np.array(make_addons.LENGTHS)[:, None]
    states = cell.get_initial_state(make_addons.BATCH)
    for step in range(4):
        output, states, alignments = cell(values(f"input {step}", make_addons.BATCH, 2), states, memory, mask)
        golden = f"attention/{name}/{step}"
        np.testing.assert_allclose(alignments, GOLDEN[f"{golden}/alignments"], atol=1e-5)
        np.testing.assert_allclose(states[0], GOLDEN[f"{golden}/state"], atol=1e-5)
        np.testing.assert_allclose(output, GOLDEN[f"{golden}/output"], atol=1e-5)
        assert (np.asarray(alignments)[~mask] == 0).all()


# ---------------------------------------------------------------------------------------------- training


class Steps(keras.Model):
    """A model whose gradients at each step are those of the golden run."""

    def __init__(self):
        super().__init__()
        self.kernel, self.bias = (
            self.add_weight(shape=v.shape, initializer=lambda *_, v=v, **__: v, name=name)
            for name, v in zip(("kernel", "bias"), make_addons.variables(), strict=True)
        )

    def call(self, x):
        """Row `step` of the batch holds that step's gradients of all weights, which the sum's are."""
        flat = keras.ops.concatenate([keras.ops.reshape(self.kernel, (-1,)), self.bias])
        return keras.ops.sum(x * flat, axis=-1)


class Kept(keras.callbacks.Callback):
    """The averaged kernel after each step."""

    def __init__(self, average):
        super().__init__()
        self.average, self.kernels = average, []

    def on_train_batch_end(self, batch, logs=None):
        self.kernels.append(np.asarray(self.average.averages[0]).copy())


def golden_gradients():
    return np.stack([np.concatenate([g.ravel() for g in make_addons.gradients(s)]) for s in range(make_addons.STEPS)])


def fitted(optimizer, callbacks):
    model = Steps()
    model.compile(optimizer, lambda y, y_pred: y_pred, jit_compile=False)
    x = golden_gradients()
    model.fit(x, np.zeros(len(x)), batch_size=1, shuffle=False, verbose=0, callbacks=callbacks)
    return model


@pytest.mark.parametrize("name", make_addons.AVERAGES)
def test_moving_average(name):
    settings = dict(make_addons.AVERAGES[name])
    average = MovingAverage(settings.pop("average_decay"), **settings)
    kept = Kept(average)
    model = fitted(keras.optimizers.Adam(0.1), [average, kept])
    np.testing.assert_allclose(kept.kernels, GOLDEN[f"moving_average/{name}"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.kernel, kept.kernels[-1])


def test_keras_own_average_is_that_from_the_first_step_on():
    optimizer = keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9)
    model = fitted(optimizer, [])
    optimizer.finalize_variable_values(model.trainable_variables)
    golden = GOLDEN["moving_average/start_step_1"][-1]
    np.testing.assert_allclose(model.kernel, golden, rtol=1e-4, atol=1e-5)
    assert np.abs(golden - GOLDEN["moving_average/plain"][-1]).max() > 1e-2


def test_multi_optimizer():
    layers = [keras.layers.Dense(4, name=f"dense_{i}") for i in range(3)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    for layer in layers:
        layer.set_weights([values(layer.name, 4, 4), np.zeros(4)])
    parts = [(keras.optimizers.SGD(0.1, momentum=0.9), layers[0]), (keras.optimizers.Adam(0.01), layers[1:])]
    optimizer = MultiOptimizer(parts)
    for step in range(make_addons.STEPS):
        names = [f"{step} {layer.name}/{v.name}:0" for layer in layers for v in layer.weights]
        grads = [values(name, *v.shape) for name, v in zip(names, model.trainable_variables, strict=True)]
        optimizer.apply(grads, model.trainable_variables)
    for layer in layers:
        for variable in layer.weights:
            golden = GOLDEN[f"multi_optimizer/{layer.name}/{variable.name}"]
            np.testing.assert_allclose(variable, golden, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("average", "beta", "threshold", "weighted"), make_addons.F_BETA)
def test_f_beta_score(average, beta, threshold, weighted):
    labels, scores, weights = make_addons.labels_and_scores()
    metric = keras.metrics.FBetaScore(average, beta, threshold)
    for part in (slice(0, 8), slice(8, 20)):
        metric.update_state(labels[part], scores[part], weights[part] if weighted else None)
    golden = GOLDEN[f"f_beta/{average}/{beta}/{threshold}/{weighted}"]
    np.testing.assert_allclose(metric.result(), golden, rtol=1e-5)


# ------------------------------------------------------------------------------------------------ decoding


@pytest.mark.parametrize(("width", "penalty"), make_addons.BEAMS)
def test_beam_search(width, penalty):
    own = make_addons.decoder()

    def step(words, state):
        state = keras.ops.tanh(keras.ops.take(own["embedded"], words, axis=0) @ own["inner"] + state @ own["recurrent"])
        return state @ own["outer"] + own["bias"], state

    settings = dict(start=make_addons.START, end=make_addons.END, width=width, longest=make_addons.LONGEST)
    found = beam_search(step, own["state"], length_penalty=penalty, **settings)
    golden = f"beam_search/{width}/{penalty}"
    words = GOLDEN[f"{golden}/words"]
    np.testing.assert_array_equal(np.asarray(found.words)[..., : words.shape[-1]], words)
    np.testing.assert_array_equal(found.lengths, GOLDEN[f"{golden}/lengths"])
    np.testing.assert_allclose(found.scores, GOLDEN[f"{golden}/scores"], rtol=1e-5)

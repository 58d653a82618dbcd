"""One step of attention in NumPy, in files, and inside a beam search; tests/test_addons.py has tensorflow-addons'."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_vision.captioning import beam_search
from keras_vision.errors import KerasVisionError
from keras_vision.layers import AttentionCell

rng = np.random.default_rng(0)
X, MEMORY = rng.normal(0, 1, (3, 2)).astype("float32"), rng.normal(0, 1, (3, 5, 4)).astype("float32")
MASK = np.arange(5) < np.array([5, 2, 1])[:, None]


def make(score, **arguments):
    keras.utils.set_random_seed(0)
    return AttentionCell(keras.layers.SimpleRNNCell(6), units=7, key_units=6, score=score, **arguments)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


@pytest.mark.parametrize("score", ["additive", "dot"])
def test_two_steps_equal_numpy(score, randomize):
    cell = make(score)
    states = cell.get_initial_state(3)
    cell(X, states, MEMORY)
    randomize(cell)
    kernel, recurrent, bias = cell.cell.get_weights()
    h, attention = np.zeros((3, 6)), np.zeros((3, 7))
    for _ in range(2):
        output, states, alignments = cell(X, states, MEMORY, MASK)
        h = np.tanh(np.concatenate([X, attention], axis=1) @ kernel + h @ recurrent + bias)
        for n in range(3):
            keys = MEMORY[n, MASK[n]] @ cell.keys.get_weights()[0]
            if score == "additive":
                scores = np.tanh(h[n] @ cell.queries.get_weights()[0] + keys) @ cell.scored.get_weights()[0]
            else:
                scores = float(cell.scored.get_weights()[0]) * (keys @ h[n])
            weights = softmax(scores)
            np.testing.assert_allclose(alignments[n][: MASK[n].sum()], weights, atol=1e-5)
            context = weights @ MEMORY[n, MASK[n]]
            attention[n] = np.concatenate([h[n], context]) @ cell.combined.get_weights()[0]
        np.testing.assert_allclose(output, attention, atol=1e-5)
        np.testing.assert_allclose(states[0], h, atol=1e-5)


@pytest.mark.parametrize("score", ["additive", "dot"])
def test_survives_a_keras_file(score, tmp_path):
    inputs = [keras.Input((2,)), keras.Input((6,)), keras.Input((7,)), keras.Input((5, 4))]
    output, states, alignments = make(score, scale=True, name="cell")(inputs[0], inputs[1:3], inputs[3])
    model = keras.Model(inputs, [output, *states, alignments])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    arrays = [X, rng.normal(0, 1, (3, 6)), rng.normal(0, 1, (3, 7)), MEMORY]
    for ours, theirs in zip(model(arrays), loaded(arrays), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_beam_search_carries_its_states_and_its_memory():
    """Images searched together give what each gives alone: no beam takes the state of another image."""
    cell, words = make("additive"), keras.layers.Dense(5)
    embedded = rng.normal(0, 1, (5, 2)).astype("float32")

    def step(word, states):
        output, after, _ = cell(ops.take(embedded, word, axis=0), states["cell"], states["memory"])
        return 5 * words(output), {"cell": after, "memory": states["memory"]}

    def search(images):
        states = {"cell": cell.get_initial_state(len(images)), "memory": images}
        return beam_search(step, states, start=1, end=0, width=2, longest=6)

    together = search(MEMORY)
    for n in range(3):
        alone = search(MEMORY[n : n + 1])
        np.testing.assert_array_equal(alone.words[0], together.words[n])
        np.testing.assert_allclose(alone.scores[0], together.scores[n], rtol=1e-4)


def test_another_score_is_an_error():
    with pytest.raises(KerasVisionError, match="score='cosine'; accepted: 'additive', 'dot'"):
        make("cosine")

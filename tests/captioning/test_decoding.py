"""Beam search against every possible sequence of a small vocabulary; tests/test_addons.py has tensorflow-addons'."""

import itertools
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from keras_vision.captioning import beam_search
from keras_vision.errors import KerasVisionError

WORDS, LONGEST, END, START = 3, 4, 0, 2
rng = np.random.default_rng(0)
FIRST = rng.normal(0, 1, (2, WORDS, WORDS)).astype("float32")  # of each image: logits after each word
GROWTH = rng.normal(0, 1, (WORDS,)).astype("float32")  # is added to an image's logits once more with every word


def step(words, states):
    """Logits that depend on the image, the word before and the time."""
    table, time = states["table"], states["time"]
    logits = tf.gather(table, words, batch_dims=1) + time[:, None] * GROWTH
    return logits, {"table": table, "time": time + 1}


def start_states():
    return {"table": tf.constant(FIRST), "time": tf.zeros(2)}


def log_p(image, words):
    """Of a sequence, word by word."""
    total = 0.0
    for time, (before, word) in enumerate(itertools.pairwise([START, *words])):
        logits = FIRST[image, before].astype(float) + time * GROWTH
        total += logits[word] - np.log(np.exp(logits).sum())
    return total


def every_sequence(image, penalty):
    """All sequences that end, or are as long as may be: words, score and length, best first."""
    found = []
    for length in range(1, LONGEST + 1):
        for words in itertools.product(range(WORDS), repeat=length):
            ends = words[-1] == END
            if END in words[:-1] or not (ends or length == LONGEST):
                continue
            counted = length - (ends and length == LONGEST)  # the end counts only from the next step on
            score = log_p(image, words) / ((5 + counted) / 6) ** penalty
            found.append((score, [*words, *[END] * (LONGEST - length)], length))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_beam_for_all_sequences_finds_them_in_order(penalty, compiled):
    count = len(every_sequence(0, penalty))
    settings = dict(start=START, end=END, width=count, longest=LONGEST, length_penalty=penalty)

    def search():
        return beam_search(step, start_states(), **settings)

    found = tf.function(search)() if compiled else search()
    assert found.words.shape == (2, count, LONGEST)
    for image in range(2):
        scores, words, lengths = zip(*every_sequence(image, penalty), strict=True)
        np.testing.assert_allclose(found.scores[image], scores, rtol=1e-5)
        np.testing.assert_array_equal(found.words[image], words)
        np.testing.assert_array_equal(found.lengths[image], lengths)


def test_a_width_of_one_is_greedy():
    found = beam_search(step, start_states(), start=START, end=END, width=1, longest=LONGEST)
    for image in range(2):
        words, before = [], START
        while len(words) < LONGEST and before != END:
            before = int(np.argmax(FIRST[image, before] + len(words) * GROWTH))
            words.append(before)
        assert np.asarray(found.words)[image, 0, : len(words)].tolist() == words
        assert found.lengths[image, 0] == len(words)
        assert float(found.scores[image, 0]) == pytest.approx(log_p(image, words), rel=1e-5)


def test_stops_when_all_sequences_have_ended():
    calls = []

    def ending(words, states):
        calls.append(words)
        return tf.tile([[9.0, 0.0, 0.0]], [len(words), 1]), states

    found = beam_search(ending, tf.zeros((2, 1)), start=START, end=END, width=1, longest=50)
    assert len(calls) == 1
    assert (np.asarray(found.words) == END).all()
    assert (np.asarray(found.lengths) == 1).all()


@pytest.mark.parametrize("wrong", [dict(width=0), dict(longest=0)])
def test_wrong_settings_are_errors(wrong):
    with pytest.raises(KerasVisionError, match=next(iter(wrong))):
        beam_search(step, start_states(), start=START, end=END, **wrong)


JAX = """
    import jax, keras, numpy as np
    from keras_vision.captioning import beam_search
    table = np.random.default_rng(0).normal(0, 1, (2, 3, 3)).astype("float32")
    def search(table):
        step = lambda words, t: (jax.vmap(lambda rows, word: rows[word])(t, words), t)
        return beam_search(step, table, start=2, end=0, width=3, longest=4)
    eager, compiled = search(table), jax.jit(search)(table)
    print(keras.backend.backend(), all(np.allclose(a, b) for a, b in zip(eager, compiled)), eager.words.tolist())
"""


def test_jax_finds_the_same_also_compiled(on_jax):
    command = [sys.executable, "-c", textwrap.dedent(JAX)]
    done = subprocess.run(command, capture_output=True, text=True, env=on_jax)
    table = np.random.default_rng(0).normal(0, 1, (2, 3, 3)).astype("float32")

    def same(words, states):
        return tf.gather(states, words, batch_dims=1), states

    expected = beam_search(same, tf.constant(table), start=2, end=0, width=3, longest=4).words.numpy().tolist()
    assert done.stdout == f"jax True {expected}\n", done.stderr

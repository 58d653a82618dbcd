"""Labels out of several people's boundaries, by counts of people and by their share."""

import numpy as np
import pytest
import tensorflow as tf

import keras_vision as kv
from keras_vision.errors import KerasVisionError

PEOPLE = np.array([[[1, 1, 1, 0]], [[1, 1, 0, 0]], [[1, 0, 0, 0]], [[1, 0, 0, 0]], [[0, 0, 0, 0]]], np.uint8)
SHARES = np.array([0, 1e-7, 0.2, 0.49, 0.5, 0.6, 1], np.float32)


def test_consensus_of_people():
    assert kv.edges.consensus(PEOPLE).tolist() == [[1, 2, 2, 0]]
    assert kv.edges.consensus(PEOPLE, agree=2).tolist() == [[1, 1, 2, 0]]
    assert kv.edges.consensus(PEOPLE.astype(bool), agree=5, ignore=255).tolist() == [[255, 255, 255, 0]]
    assert kv.edges.consensus(PEOPLE, ignore=0).tolist() == [[1, 0, 0, 0]]  # the paper's: all others are no edge
    assert kv.edges.consensus(PEOPLE).dtype == np.uint8


def test_consensus_of_shares():
    assert kv.edges.share_consensus(SHARES).tolist() == [0, 2, 2, 2, 1, 1, 1]
    assert kv.edges.share_consensus(SHARES, edge=0.6, nobody=0.01, ignore=9).tolist() == [0, 0, 9, 9, 9, 1, 1]
    assert kv.edges.share_consensus(SHARES).dtype == np.uint8


@pytest.mark.parametrize("compiled", [False, True])
def test_tensors_of_shares(compiled):
    labels = kv.edges.share_consensus
    found = (tf.function(labels) if compiled else labels)(tf.constant(SHARES))
    assert found.dtype == tf.uint8
    np.testing.assert_array_equal(found, labels(SHARES))


def test_the_two_rules_agree_where_five_or_six_people_drew(berkeley):
    positions = [i for i in range(0, 40, 4) if len(berkeley.boundaries(i)) in (5, 6)]
    assert len(positions) >= 5
    for position in positions:
        drawn = berkeley.boundaries(position)
        by_people = kv.edges.consensus(drawn)
        np.testing.assert_array_equal(kv.edges.share_consensus(drawn.mean(0, dtype=np.float32)), by_people)
        np.testing.assert_array_equal(by_people == 1, drawn.sum(0) >= 3)
        np.testing.assert_array_equal(by_people == 0, drawn.max(0) == 0)


def test_labels_inside_the_training_pipeline(berkeley):
    """The pipeline's shares, of maps made smaller, become labels inside `tf.data` as they do outside."""
    shares = kv.data.Pipeline(berkeley, kv.Preprocessing((160, 200), 240), 2).epoch(0).take(1)
    labels = shares.map(lambda image, share: kv.edges.share_consensus(share, edge=0.4, nobody=0.05))
    (_, share), label = next(zip(shares, labels, strict=True))
    assert share.shape == label.shape == (2, 160, 200)
    np.testing.assert_array_equal(label, np.where(share >= 0.4, 1, np.where(share > 0.05, 2, 0)))
    assert set(np.unique(label)) == {0, 1, 2}


def test_bad_input():
    with pytest.raises(KerasVisionError, match="agree=6 of 5 people; give 1 to 5"):
        kv.edges.consensus(PEOPLE, agree=6)
    with pytest.raises(KerasVisionError, match="agree=0"):
        kv.edges.consensus(PEOPLE, agree=0)
    with pytest.raises(KerasVisionError, match=r"boundaries of shape \(0, 1, 4\)"):
        kv.edges.consensus(PEOPLE[:0])
    with pytest.raises(KerasVisionError, match=r"boundaries has the value 0\.5"):
        kv.edges.consensus(PEOPLE * 0.5)
    for label in (1, -1, 256):
        with pytest.raises(KerasVisionError, match=f"ignore={label}"):
            kv.edges.consensus(PEOPLE, ignore=label)
    for wrong in (dict(edge=0), dict(edge=1.5), dict(nobody=-1), dict(edge=0.2, nobody=0.3)):
        with pytest.raises(KerasVisionError, match="0 <= nobody < edge <= 1"):
            kv.edges.share_consensus(SHARES, **wrong)

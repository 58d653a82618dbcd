"""Sigmoid and softmax in one output, against a loop over labels."""

import keras
import numpy as np
import pytest

from keras_vision.errors import KerasVisionError
from keras_vision.layers import LabelProbabilities, label_probabilities

GROUPS = ((4, 1), (0, 6, 3))  # of 7 labels; 2 and 5 are alone
LOGITS = np.random.default_rng(0).normal(0, 3, (5, 7)).astype("float32")


def naive(logits, groups):
    out = np.empty(logits.shape)
    for n, row in enumerate(logits.astype(np.float64)):
        for k in range(len(row)):
            group = next((g for g in groups if k in g), None)
            odds = [np.exp(row[j]) for j in group] if group else [np.exp(row[k]), 1]
            out[n, k] = np.exp(row[k]) / sum(odds)
    return out


@pytest.mark.parametrize("groups", [(), GROUPS, ((0, 1, 2, 3, 4, 5, 6),), ((6, 5),)])
def test_equals_a_loop(groups):
    np.testing.assert_allclose(LabelProbabilities(groups)(LOGITS), naive(LOGITS, groups), rtol=1e-5)


def test_each_group_sums_to_one_at_any_logits():
    found = np.asarray(label_probabilities(keras.ops.convert_to_tensor(LOGITS * 100), GROUPS))
    assert np.isfinite(found).all()
    for group in GROUPS:
        np.testing.assert_allclose(found[:, list(group)].sum(1), 1, rtol=1e-6)


def test_maps_keep_their_shape():
    maps = np.stack([LOGITS, LOGITS[::-1]])[:, None]
    found = LabelProbabilities(GROUPS)(maps)
    np.testing.assert_allclose(found[1, 0], naive(LOGITS[::-1], GROUPS), rtol=1e-5)


def test_float32_under_mixed_precision_and_its_config():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = LabelProbabilities(GROUPS, name="given")
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(layer(LOGITS.astype("float16")).dtype) == "float32"
    twin = LabelProbabilities.from_config(layer.get_config())
    assert (twin.groups, twin.name) == (GROUPS, "given")
    assert LabelProbabilities(GROUPS).compute_output_shape((None, 7)) == (None, 7)


@pytest.mark.parametrize(("groups", "message"), [
    (((0, 1), (1, 2)), "none of which is there twice"),
    (((0,),), "at least two"),
    (((-1, 0),), "from 0"),
    ((("a", "b"),), "lists of columns"),
    (((0, 7),), "column 7 of an exclusive group, where there are 7 labels"),
])  # fmt: skip
def test_other_groups_are_errors(groups, message):
    with pytest.raises(KerasVisionError, match=message):
        LabelProbabilities(groups)(LOGITS)

"""Small caption models with weights of some size."""

import numpy as np

from keras_vision.captioning import ShowAttendTell
from keras_vision.runtime.caption_words import SPECIAL

WORDS = (*SPECIAL, "a", "dog", "runs", "on", "grass", "man", "in", "red", "shirt")
SMALL = dict(encoder="SqueezeNetV1_1", tap="fire9", input_shape=(48, 48, 3), units=8, embedding=6, keys=5, seed=0)


def small_model(row="soft", seed=0, spread=0.4, **settings):
    model, rng = ShowAttendTell(WORDS, row, **{**SMALL, **settings}), np.random.default_rng(seed)
    for weight in model.trainable_weights:
        if weight.path.split("/")[0] in {layer.name for layer in model.decoder.layers}:
            weight.assign(rng.normal(0, spread, weight.shape))
    return model


def annotations_of(model, n=3, seed=1):
    shape = (n, model.cell.locations, model.cell.channels)
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype("float32")


def captions_of(n=3, steps=5, seed=2):
    """Words before each word, and the words; the last caption is two words shorter."""
    words = np.random.default_rng(seed).integers(4, len(WORDS), (n, steps)).astype("int32")
    words[:, -1] = 3
    words[-1, -3:] = [3, 0, 0]
    before = np.concatenate([np.full((n, 1), 2, "int32"), words[:, :-1]], axis=1)
    before[words == 0] = 0
    return before, words

"""Trunks against KerasHub's backbones: the same seeded weights and image, feature maps from its own run."""

import re

import make_keras_hub
import numpy as np
import pytest

import keras_vision as kv

SETTINGS = {"ResNet50": dict(layout="torch")}  # in which KerasHub's network differs from the row
RULES = {  # our layer's name to KerasHub's, by family
    "resnet": [
        (r"conv(\d)_(\d+)_(\d)_(conv|bn)", lambda m: f"stack{int(m[1]) - 2}_block{int(m[2]) - 1}_{m[3]}_{m[4]}"),
        (r"conv(\d)_(\d+)_shortcut_(conv|bn)", lambda m: f"stack{int(m[1]) - 2}_block{int(m[2]) - 1}_0_{m[3]}"),
    ],
    "densenet": [
        (r"dense(\d)_(\d+)_1x1_bn", r"stack\1_block\2_1_bn"),
        (r"dense(\d)_(\d+)_1x1", r"stack\1_block\2_1_conv"),
        (r"dense(\d)_(\d+)_bn", r"stack\1_block\2_2_bn"),
        (r"dense(\d)_(\d+)", r"stack\1_block\2_2_conv"),
        (r"(transition\d)_1x1_bn", r"\1_bn"),
        (r"(transition\d)_1x1", r"\1_conv"),
        (r"norm_bn", "bn"),
    ],
    "vgg": [(r"conv(\d)_(\d)", r"block\1_conv\2")],
    "xception": [
        (r"(block\d+)_shortcut_(conv|bn)", r"\1_residual_\2"),
        (r"(block\d+_(sep)?conv\d)_conv", r"\1"),
    ],
}


def theirs(family, layer):
    for pattern, replacement in RULES[family]:
        if re.fullmatch(pattern, layer):
            return re.sub(pattern, replacement, layer)
    return layer


@pytest.mark.parametrize("name", make_keras_hub.NETWORKS)
def test_feature_maps_equal_keras_hubs(name):
    size = make_keras_hub.SIZE
    settings = SETTINGS.get(name, {})
    model = kv.create_model(name, weights=None, include_top=False, input_shape=(size, size, 3), **settings)
    for layer in model.layers:
        for variable in layer.weights:
            key = theirs(model.card.family, layer.name)
            variable.assign(make_keras_hub.seeded(name, key, variable.name, tuple(variable.shape)))
    expected = np.load(make_keras_hub.FILE)[name]
    assert 0.1 <= expected.std() <= 10
    assert np.abs(np.asarray(model(make_keras_hub.image())) - expected).max() <= 1e-4 * expected.std()

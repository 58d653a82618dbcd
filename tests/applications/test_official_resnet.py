"""ResNet-50 against tf-models-official's backbone: the same seeded weights and image, output from its own run."""

import make_official_resnet
import numpy as np

import keras_vision as kv


def test_feature_map_equals_officials():
    """Official's convolutions have no biases and the stride on the 3x3, as torchvision's; epsilon is 1e-5 here."""
    model = kv.create_model(make_official_resnet.NAME, weights=None, include_top=False, layout="torch")
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(make_official_resnet.seeded(layer.name, variable.name, tuple(variable.shape)))
    golden = np.load(make_official_resnet.FILE)[make_official_resnet.NAME]
    actual = np.asarray(model(make_official_resnet.image()))
    assert 0.1 <= golden.std() <= 10
    assert np.abs(actual - golden).max() <= 1e-4 * golden.std()

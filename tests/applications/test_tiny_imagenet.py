"""The nets of the study on Tiny ImageNet: layers of each row, and the base against a forward in NumPy."""

import keras
import numpy as np
import pytest
from closeness import close
from naive_caffe import Net, max_pool
from naive_weights import fill

import keras_vision as kv
from keras_vision.errors import KerasVisionError

DEPTHS = {"TinyImageNet5": 5, "TinyImageNet5Kernel3": 5, "TinyImageNet6": 6, "TinyImageNet7": 7, "TinyImageNet8": 8}
DEPTHS |= {"TinyImageNet8PReLU": 8, "TinyImageNet8PReLUDropout": 8}


@pytest.mark.parametrize("name", DEPTHS)
def test_number_of_weight_layers_and_kernels(name, undrawn):
    model = kv.create_model(name, weights=None)
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) + 2 == DEPTHS[name]
    assert {layer.kernel_size[0] for layer in convolutions} == {5 if name == "TinyImageNet5" else 3}
    slopes = sum(isinstance(layer, keras.layers.PReLU) for layer in model.layers)
    assert slopes == (DEPTHS[name] - 1 if "PReLU" in name else 0)
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == ([0.25, 0.25, 0.25, 0.5] if "Dropout" in name else [])
    taps = kv.taps(model)
    assert [taps[f"pool{i}"].shape for i in (1, 2, 3)] == [(32, 32, 64), (16, 16, 128), (8, 8, 256)]


def test_equals_the_naive_forward():
    images = np.random.default_rng(1).normal(0, 1, (2, 16, 24, 3)).astype("float32")
    net, x = Net(), images.transpose(0, 3, 1, 2).astype("float64")
    for stage, width in enumerate((64, 128, 256), 1):
        x = max_pool(net.conv(x, f"conv{stage}_1", width, 5, pad=2), 2, 2)
    cells = x.shape[1:]
    x = net.dense(np.maximum(net.dense(x, "fc1", 512), 0), "fc2", 7)
    model = kv.create_model(
        "TinyImageNet5", weights=None, classes=7, classifier_activation=None, input_shape=(16, 24, 3)
    )  # fmt: skip
    assert close(fill(model, net.arrays, flattened={"fc1": cells})(images), x)


@pytest.mark.parametrize(("setting", "says"), [
    (dict(convs=(1, 1)), r"convs=\(1, 1\); give 3 whole numbers"),
    (dict(kernel=0), "kernel=0; give a size in cells"),
    (dict(dropout=0.5), "dropout=0.5; give two rates"),
    (dict(activation="elu"), "activation='elu'; accepted: 'prelu', 'prelu_shared', 'relu'"),
])  # fmt: skip
def test_wrong_settings_are_named(setting, says):
    with pytest.raises(KerasVisionError, match=says):
        kv.create_model("TinyImageNet5", weights=None, **setting)

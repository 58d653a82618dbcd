"""Networks and name rules against torchvision: the same seeded weights and images, outputs from its own run."""

import importlib
import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_vision as kv

GOLDEN = Path(__file__).parents[1] / "golden"
_spec = importlib.util.spec_from_file_location("make_torchvision", GOLDEN / "make_torchvision.py")
make_torchvision = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_torchvision)

MODELS = {  # torchvision's constructor: ours, and the settings in which it differs from the row
    "densenet121": ("DenseNet121", dict(epsilon=1e-5)),
    "densenet161": ("DenseNet161", {}),
    "resnet18": ("ResNet18", {}),
    "resnet50": ("ResNet50", dict(layout="torch")),
    "squeezenet1_0": ("SqueezeNet", dict(conv10_padding=0)),
    "squeezenet1_1": ("SqueezeNetV1_1", {}),
    "vgg11": ("VGG11", {}),
    "vgg11_bn": ("VGG11BN", {}),
    "vgg16": ("VGG16", {}),
    "vgg16_bn": ("VGG16BN", {}),
    "vgg19": ("VGG19", {}),
    "vgg19_bn": ("VGG19BN", {}),
    "googlenet": ("GoogLeNetBN", dict(auxiliary="adaptive")),
    "inception_v3": ("InceptionV3", dict(gamma=True, count_padding=True, auxiliary="batch_norm")),
}
SLOW = ("densenet161", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
VARIABLES = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
VARIABLES |= {"moving_mean": "running_mean", "moving_variance": "running_var"}


def modules(name):
    """Our layer's name to torchvision's module."""
    family = importlib.import_module(f"keras_vision.applications.{kv.model_card(name).family}")
    files = importlib.import_module(family.FAMILY.convert.__module__)
    return {layer: module for module, layer in files.torch_modules(**family.TABLE[name])}


def state_dict(model, network):
    """Seeded arrays by torchvision's names, in PyTorch's layout, of the shapes of our variables."""
    names, arrays = modules(model.card.name), {}
    for layer in model.layers:
        for variable in layer.weights:
            shape = tuple(variable.shape)
            if len(shape) > 1:
                shape = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]
            key = f"{names[layer.name]}.{VARIABLES[variable.name]}"
            arrays[key] = make_torchvision.weight(network, key, shape)
    return arrays


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in MODELS])
def test_logits_equal_torchvisions(name, tmp_path):
    ours, settings = MODELS[name]
    arguments = dict(classifier_activation=None, **settings)
    random = kv.create_model(ours, weights=None, **arguments)
    save_file(state_dict(random, name), tmp_path / "weights.safetensors")
    model = kv.create_model(ours, weights=tmp_path / "weights.safetensors", **arguments)
    outputs = model(make_torchvision.image(make_torchvision.NETWORKS[name]))
    sides = [f"{name}.{side}" for side in make_torchvision.AUXILIARY.get(name, {}).values()]
    golden = np.load(GOLDEN / "torchvision.npz")
    for key, actual in zip([name, *sides], keras.tree.flatten(outputs), strict=True):
        assert np.ptp(golden[key]) > 0.1
        assert np.abs(np.asarray(actual) - golden[key]).max() <= 1e-5 * np.ptp(golden[key])

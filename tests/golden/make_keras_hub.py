"""Writes keras_hub.npz: feature maps of KerasHub's backbones for weights and an image made by numpy from a seed.

Needs KerasHub, which the tests do not: in an environment of its own, `pip install keras-hub`, then `python
tests/golden/make_keras_hub.py`. The file's were made with KerasHub 0.32.
"""

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("keras_hub.npz")
SIZE = 97  # odd, so that KerasHub's "same" in DenseNet pads both sides alike, as its weights need
STAGES = dict(stackwise_num_filters=[64, 128, 256, 512], stackwise_num_strides=[1, 2, 2, 2])
STEM = dict(input_conv_filters=[64], input_conv_kernel_sizes=[7])
XCEPTION = [[32, 64], [128, 128], [256, 256], [728, 728], *[[728, 728, 728]] * 8, [728, 1024], [1536, 2048]]
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {  # our name: KerasHub's class and its arguments
    "ResNet18": (
        "ResNetBackbone",
        dict(stackwise_num_blocks=[2, 2, 2, 2], block_type="basic_block", **STEM, **STAGES),
    ),
    "ResNet50": (
        "ResNetBackbone",
        dict(stackwise_num_blocks=[3, 4, 6, 3], block_type="bottleneck_block", **STEM, **STAGES),
    ),
    "DenseNet121": ("DenseNetBackbone", dict(stackwise_num_repeats=[6, 12, 24, 16])),
    "VGG16": (
        "VGGBackbone",
        dict(stackwise_num_repeats=[2, 2, 3, 3, 3], stackwise_num_filters=[64, 128, 256, 512, 512]),
    ),
    "Xception": (
        "XceptionBackbone",
        dict(stackwise_conv_filters=XCEPTION, stackwise_pooling=[False, *[True] * 3, *[False] * 8, True, False]),
    ),
}
DAMPED = {  # at the end of a residual branch, as every addition would double the variance; and what that leaves
    "ResNet18": r"stack.*_2_bn", "ResNet50": r"stack.*_3_bn",
    "Xception": r"block(\d|1[012])_sepconv3_bn|block14_sepconv1_bn",
}  # fmt: skip


def seeded(network: str, layer: str, variable: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a variable, float32; under such weights activations keep their scale."""
    rng = np.random.default_rng(zlib.crc32(f"{layer}/{variable}".encode()))
    if variable in ("gamma", "moving_variance"):
        damped = variable == "gamma" and re.fullmatch(DAMPED.get(network, ""), layer)
        return rng.uniform(0.5, 1.5, shape).astype(np.float32) * np.float32(0.25 if damped else 1)
    if variable == "depthwise_kernel":  # no ReLU before the pointwise one
        variance = 1 / np.prod(shape[:2])
    else:
        variance = 0.01 if len(shape) == 1 else 2 / np.prod(shape[:-1])
    deviation = np.float32(np.sqrt(variance))
    return rng.standard_normal(shape, dtype=np.float32) * deviation


def image() -> np.ndarray:
    """One image `(1, SIZE, SIZE, 3)`."""
    return np.random.default_rng(SIZE).standard_normal((1, SIZE, SIZE, 3), dtype=np.float32)


def main() -> None:
    """Replaces the file."""
    import keras_hub

    features = {}
    for name, (backbone, arguments) in NETWORKS.items():
        network = getattr(keras_hub.models, backbone)(image_shape=(SIZE, SIZE, 3), **arguments)
        for layer in network.layers:
            for variable in layer.weights:
                variable.assign(seeded(name, layer.name, variable.name, tuple(variable.shape)))
        features[name] = np.asarray(network(image()))
        deviation = features[name].std()
        assert 0.1 <= deviation <= 10, (name, deviation)
        print(name, features[name].shape, deviation)
    np.savez_compressed(FILE, **features)


if __name__ == "__main__":
    main()

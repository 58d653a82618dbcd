"""Writes official_resnet.npz: the last map of tf-models-official's ResNet-50, for weights and an image by numpy.

Needs tf-models-official, which the tests do not: in an environment of its own, `pip install tf-models-official==2.20.*
tf-keras`, then `TF_USE_LEGACY_KERAS=1 python tests/golden/make_official_resnet.py`. The file's were made with
tf-models-official 2.20.0 and tf_keras 2.21. Its basic blocks project 64 maps to 64, so ResNet-18 and 34 have no peer.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("official_resnet.npz")
SIZE = 65  # odd at every stride, so that official's "same" pads both sides alike, as PyTorch does
NAME = "ResNet50"


def seeded(layer: str, variable: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a variable by our names, float32; under such weights activations keep their scale."""
    rng = np.random.default_rng(zlib.crc32(f"{layer}/{variable}".encode()))
    if variable in ("gamma", "moving_variance"):
        damped = variable == "gamma" and layer.endswith("_3_bn")  # as each addition would double the variance
        return rng.uniform(0.5, 1.5, shape).astype(np.float32) * np.float32(0.25 if damped else 1)
    deviation = np.float32(0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[:-1])))
    return rng.standard_normal(shape, dtype=np.float32) * deviation


def image() -> np.ndarray:
    """One image `(1, SIZE, SIZE, 3)`."""
    return np.random.default_rng(SIZE).standard_normal((1, SIZE, SIZE, 3), dtype=np.float32)


def layers_of(network: Any) -> Iterator[tuple[str, Any]]:
    """Each layer with weights, by our name for it."""
    blocks = [layer for layer in network.layers if "block" in type(layer).__name__.lower()]
    stem = [layer for layer in network.layers if layer.weights and layer not in blocks]
    yield from zip(("conv1_conv", "conv1_bn"), stem, strict=True)
    stage, position = 1, 0
    for block in blocks:
        projects = block.get_config()["use_projection"]  # only the first block of a stage does
        stage, position = (stage + 1, 1) if projects else (stage, position + 1)
        own = f"conv{stage}_{position}"
        for number in (1, 2, 3):
            yield f"{own}_{number}_conv", getattr(block, f"_conv{number}")
            yield f"{own}_{number}_bn", getattr(block, f"_norm{number}")
        if projects:
            yield f"{own}_shortcut_conv", block._shortcut
            yield f"{own}_shortcut_bn", block._norm0


def main() -> None:
    """Replaces the file."""
    import tf_keras
    from official.vision.modeling.backbones.resnet import ResNet

    spec = tf_keras.layers.InputSpec(shape=[None, SIZE, SIZE, 3])
    network = ResNet(50, input_specs=spec, norm_epsilon=1e-5)
    named = list(layers_of(network))
    assert sum(len(layer.weights) for _, layer in named) == len(network.weights)
    for own, layer in named:
        for variable in layer.weights:
            part = variable.name.partition(":")[0].rpartition("/")[2]
            variable.assign(seeded(own, part, tuple(variable.shape)))
    features = np.asarray(network(image(), training=False)["5"])
    print(features.shape, features.std())
    np.savez_compressed(FILE, **{NAME: features})


if __name__ == "__main__":
    main()

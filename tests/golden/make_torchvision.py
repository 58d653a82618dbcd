"""Writes torchvision.npz: logits of torchvision's networks for weights and an image made by numpy from a seed.

Needs torch and torchvision, which the tests do not: in an environment of its own, `pip install torch numpy pillow`
and `pip install --no-deps torchvision`, then `python tests/golden/make_torchvision.py`.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("torchvision.npz")
NETWORKS = {  # torchvision's constructor: input size
    "squeezenet1_0": 227, "squeezenet1_1": 227, "vgg11": 224, "vgg11_bn": 224, "vgg16": 224, "vgg16_bn": 224,
    "vgg19": 224, "vgg19_bn": 224, "googlenet": 224, "inception_v3": 299, "resnet18": 224, "resnet50": 224,
    "densenet121": 224, "densenet161": 224,
}  # fmt: skip
DAMPED = {  # the end of each residual branch, as every addition would double the variance; and what that leaves
    "resnet18": r"layer.*bn2\.weight", "resnet50": r"layer.*bn3\.weight|fc\.weight",
}  # fmt: skip
DENSE = {"googlenet": 0.25, "inception_v3": 0.25}  # factor of dense kernels, which keeps the logits in [0.1, 10]
AUXILIARY = {  # module whose output a side classifier looks at: the side classifier
    "googlenet": {"inception4a": "aux1", "inception4d": "aux2"},
    "inception_v3": {"Mixed_6e": "AuxLogits"},
}


def seeded(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a name, float32, in PyTorch's layout; under such weights activations keep their scale."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    deviation = np.float32(0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:])))
    return rng.standard_normal(shape, dtype=np.float32) * deviation


def weight(network: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a name in a network; a share of it where the logits would else grow out of bounds."""
    damped = re.fullmatch(DAMPED.get(network, ""), name)
    factor = 0.25 if damped else DENSE.get(network, 1) if len(shape) == 2 else 1
    return seeded(name, shape) * np.float32(factor)


def image(size: int) -> np.ndarray:
    """Two images `(2, size, size, 3)`."""
    return np.random.default_rng(size).standard_normal((2, size, size, 3), dtype=np.float32)


def networks(models: Any) -> Iterator[tuple[str, Any]]:
    """Each network with random weights; those with side classifiers do not convert the images first."""
    for name in NETWORKS:
        bare = dict(aux_logits=True, transform_input=False, init_weights=False) if name in AUXILIARY else {}
        yield name, getattr(models, name)(weights=None, **bare).eval()


def collect_side_outputs(network: Any, name: str, logits: dict[str, np.ndarray]) -> None:
    """Have the next call of a network add the logits of its side classifiers, which it skips outside training."""
    for source, side in AUXILIARY.get(name, {}).items():

        def hook(module: Any, inputs: Any, output: Any, side: str = side) -> None:
            logits[f"{name}.{side}"] = network.get_submodule(side)(output).numpy()

        network.get_submodule(source).register_forward_hook(hook)


def main() -> None:
    """Replaces the file."""
    import torch

    # A build of torch without these ops still imports torchvision.
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    logits = {}
    for name, network in networks(torchvision.models):
        state = network.state_dict()
        numbers = {key: tuple(v.shape) for key, v in state.items() if v.is_floating_point()}
        values = {key: torch.from_numpy(weight(name, key, shape)) for key, shape in numbers.items()}
        network.load_state_dict(state | values)
        collect_side_outputs(network, name, logits)
        with torch.no_grad():
            logits[name] = network(torch.from_numpy(image(NETWORKS[name]).transpose(0, 3, 1, 2).copy())).numpy()
        print({key: float(value.std()) for key, value in logits.items() if key.startswith(name)})
    np.savez_compressed(FILE, **logits)


if __name__ == "__main__":
    main()

"""Writes timm.npz: logits of timm's networks for weights and an image made by numpy from a seed.

Needs torch and timm, which the tests do not: in an environment of its own, `pip install torch numpy pillow pyyaml
huggingface_hub` and `pip install --no-deps torchvision timm`, then `python tests/golden/make_timm.py`.
"""

from pathlib import Path

import make_torchvision
import numpy as np

FILE = Path(__file__).with_name("timm.npz")
NETWORKS = {  # timm's name: input size; at 224 the last window of pool1 hangs over, at 97 it does not
    "legacy_seresnet50": 224, "legacy_seresnext50_32x4d": 97, "legacy_senet154": 97, "seresnet50": 224,
    "vgg11": 224,
}  # fmt: skip


def seeded(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array of a name, float32, in PyTorch's layout.

    The last batch norm of a block is small: after fifty that add as much as came in, the logits are huge.
    """
    array = make_torchvision.seeded(name, shape)
    return array * np.float32(0.2) if name.endswith("bn3.weight") and name.startswith("layer") else array


def main() -> None:
    """Replaces the file."""
    import torch

    # A build of torch without these ops still imports torchvision, which timm needs.
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm

    logits = {}
    for name, size in NETWORKS.items():
        network = timm.create_model(name, pretrained=False).eval()
        state = network.state_dict()
        values = {
            key: torch.from_numpy(seeded(key, tuple(v.shape))) for key, v in state.items() if v.is_floating_point()
        }
        network.load_state_dict(state | values)
        image = make_torchvision.image(size).transpose(0, 3, 1, 2).copy()
        with torch.no_grad():
            logits[name] = network(torch.from_numpy(image)).numpy()
        deviation = logits[name].std()
        assert 0.1 <= deviation <= 10, (name, deviation)
        print(name, deviation)
    np.savez_compressed(FILE, **logits)


if __name__ == "__main__":
    main()

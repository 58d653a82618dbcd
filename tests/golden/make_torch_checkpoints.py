"""Writes checkpoint.pth and checkpoint_legacy.pth: what PyTorch itself writes of tensors made by numpy from a seed.

Needs torch, which the tests do not: in an environment of its own, `pip install torch numpy`, then
`python tests/golden/make_torch_checkpoints.py`. The files in the repository were written by torch 2.13.0.
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


def arrays() -> dict[str, np.ndarray]:
    """What the files hold, by name; "bfloat16" is the float32 array whose upper halves are stored."""
    rng = np.random.default_rng(0)
    named = {
        kind: rng.integers(0, 2, (2, 3)).astype(kind) for kind in ("int64", "int32", "int16", "int8", "uint8", "bool")
    }
    named |= {kind: rng.normal(size=(4, 3, 3, 2)).astype(kind) for kind in ("float64", "float32", "float16")}
    named["bfloat16"] = (rng.normal(size=5).astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    named["scalar"], named["empty"] = np.float32([3.5]).reshape(()), np.zeros((2, 0), np.float32)
    named["parameter"] = rng.normal(size=(3, 4)).astype(np.float32)
    named["transposed"] = named["parameter"].T  # a view of the same storage
    named["row"] = named["parameter"][1]
    return named


def main() -> None:
    """Replaces both files."""
    import torch

    values = arrays()
    state = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in values.items()}
    state["bfloat16"] = state["bfloat16"].to(torch.bfloat16)
    state["scalar"] = torch.tensor(3.5)
    state["parameter"] = torch.nn.Parameter(state["parameter"])
    state["transposed"], state["row"] = state["parameter"].T, state["parameter"][1]
    checkpoint = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    torch.save(checkpoint, FOLDER / "checkpoint.pth")
    torch.save(checkpoint, FOLDER / "checkpoint_legacy.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()

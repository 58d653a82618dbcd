"""Time and memory to read a weight file of VGG-16's size, against the packages made for its format.

    python benchmarks/weights.py [--pth vgg16-397923af.pth]

Claims: at most 1.5 of the time that h5py (.h5) and safetensors (.safetensors; .pth against the same arrays as
.safetensors) take to read every array, and at most 1.3 of the file's size in memory. Each reader runs in a process of
its own, with the file in the system's cache; ours and the peer's take turns. Without --pth a file from PyTorch is left
out. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file

SIZES = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 2, (256, 512), *[(512, 512)] * 5]

READ = {
    "ours": "from keras_vision.weights import read; arrays = read(Path(file), {})",
    ".h5": """
import h5py
arrays = {}
with h5py.File(file) as f:
    f.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)""",
    ".safetensors": "from safetensors.numpy import load_file; arrays = load_file(file)",
}
MEASURE = """
import json, os, re, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from pathlib import Path
import h5py, safetensors.numpy, keras_vision.weights
file, code = sys.argv[1:]
def kibibytes(what):
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before, start = kibibytes("VmRSS"), time.perf_counter()
scope = {"file": file, "Path": Path}
exec(code, scope)
total = sum(float(a.ravel()[:: max(a.size // 64, 1)].sum()) for a in scope["arrays"].values())
print(json.dumps([time.perf_counter() - start, (kibibytes("VmHWM") - before) * 1024, len(scope["arrays"])]))
"""


def arrays() -> dict[str, np.ndarray]:
    """Random weights of VGG-16 by layer and variable."""
    rng = np.random.default_rng(0)
    shapes = {f"conv{i}": (3, 3, *size) for i, size in enumerate(SIZES)}
    shapes |= {"fc1": (25088, 4096), "fc2": (4096, 4096), "predictions": (4096, 1000)}
    return {
        f"{layer}/{variable}": rng.standard_normal(s, dtype=np.float32)
        for layer, shape in shapes.items()
        for variable, s in (("kernel", shape), ("bias", shape[-1:]))
    }


def write_h5(path: Path, weights: dict[str, np.ndarray]) -> None:
    """The layout of the public files of Keras Applications."""
    with h5py.File(path, "w") as file:
        layers = list(dict.fromkeys(name.partition("/")[0] for name in weights))
        file.attrs["layer_names"] = np.array(layers, "S")
        for layer in layers:
            names = [f"{layer}/{variable}:0" for variable in ("kernel", "bias")]
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array(names, "S")
            for name in names:
                group[name] = weights[name.removesuffix(":0")]


def measure(file: Path, code: str) -> tuple[float, int, int]:
    """Seconds, bytes of memory beyond what was in use before, and number of arrays."""
    command = [sys.executable, "-c", MEASURE, str(file), code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ})
    seconds, memory, count = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory, count


def row(file: Path, peer_file: Path, runs: int) -> list[str]:
    """One line of the table: medians over the runs, in which ours and the peer's take turns."""
    peer = READ[peer_file.suffix]
    ours, its = zip(*[(measure(file, READ["ours"]), measure(peer_file, peer)) for _ in range(runs)], strict=True)
    assert ours[0][2] == its[0][2], "the two read different numbers of arrays"
    seconds = [statistics.median(run[0] for run in side) for side in (ours, its)]
    memory = statistics.median(run[1] for run in ours) / file.stat().st_size
    cells = (f"{seconds[0]:.2f} s", f"{seconds[1]:.2f} s", f"{seconds[0] / seconds[1]:.2f}", "<= 1.5")
    return [file.suffix, *cells, f"{memory:.2f}", "<= 1.3"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--pth", type=Path, help="a checkpoint that PyTorch wrote, such as torchvision's VGG-16")
    arguments = parser.parse_args()
    table = Table("file", "ours", "peer", "ratio", "claim", "memory / size", "claim")
    with tempfile.TemporaryDirectory() as folder:
        weights = arrays()
        h5, tensors = Path(folder) / "vgg16.h5", Path(folder) / "vgg16.safetensors"
        write_h5(h5, weights)
        save_file(weights, tensors)
        files = [(h5, h5), (tensors, tensors)]
        if arguments.pth:
            from keras_vision.weights import read_torch

            save_file(
                {k: np.ascontiguousarray(a) for k, a in read_torch(arguments.pth).items()},
                Path(folder) / "pth.safetensors",
            )
            files.append((arguments.pth, Path(folder) / "pth.safetensors"))
        del weights
        for file, peer_file in files:
            table.add_row(*row(file, peer_file, arguments.runs))
    Console().print(table)


if __name__ == "__main__":
    main()

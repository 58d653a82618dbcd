"""Start-up times as whole processes: importing, `--help`, classifying one image with a `.tflite` file.

    python benchmarks/startup.py

Claims: `keras-vision --help` takes at most 0.3 of `import keras`; `keras-vision classify`, start to printed result, at
most 0.3 of `import tensorflow` alone; `import keras_vision` at most 1.05 of `import keras`. Each command runs in turn
with its peer; medians and the median of pairwise ratios.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

MAKE = """
import sys, numpy as np, keras_vision as kv
from PIL import Image
net = kv.create_model("SqueezeNet", weights=None)
kv.export.to_litert(net, sys.argv[1] + "/model.tflite", uint8_input=True)
Image.fromarray(np.zeros((375, 500, 3), np.uint8)).save(sys.argv[1] + "/image.jpg")
"""


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    script = str(Path(sys.executable).with_name("keras-vision"))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", MAKE, folder], check=True, capture_output=True)
        model, image = f"{folder}/model.tflite", f"{folder}/image.jpg"

        def python(code: str) -> list[str]:
            return [sys.executable, "-c", code]

        pairs = [
            ("keras-vision --help", [script, "--help"], "import keras", "<= 0.3"),
            (
                "keras-vision classify (.tflite)",
                [script, "classify", image, "--model", model],
                "import tensorflow",
                "<= 0.3",
            ),
            ("import keras_vision", python("import keras_vision"), "import keras", "<= 1.05"),
            ("import keras_vision.applications", python("import keras_vision.applications"), "import keras", ""),
        ]
        table = Table("process", "median s", "peer", "median s", "ratio", "claim")
        for name, ours, peer, claim in pairs:
            times = [(seconds(ours), seconds(python(peer))) for _ in range(runs + 1)][1:]
            ratio = statistics.median(a / b for a, b in times)
            medians = [f"{statistics.median(column):.2f}" for column in zip(*times, strict=True)]
            table.add_row(name, medians[0], peer, medians[1], f"{ratio:.2f}", claim)
    console = Console(width=110)
    console.print(table)
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {runs} runs each, in turn")


if __name__ == "__main__":
    main()

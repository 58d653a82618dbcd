"""Lists the benchmarks, and runs chosen ones at their smallest settings: that they run, not what README claims.

    python -m benchmarks
    python -m benchmarks build scan --shared ../shared --out smallest.md

Each runs in a process of its own, one after the other. The page that is written has the machine, the date, a row for
each benchmark and what it printed. The figures of README come from the scripts' own settings, run by hand.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).parent
SMALLEST = {  # arguments; {data} and {weights} are folders of the test data, {out} an empty one
    "batch_norm": "{data}/mnist --seeds 1",
    "build": "--runs 1",
    "captioning": "--runs 1",
    "dense_crf": "--part gradient",
    "dense_inference": "--rounds 1",
    "draw": "--runs 1 --steps 2",
    "dreal": "--seeds 1 --epochs 1",
    "early_exit": "{data}/mnist {out} --main-epochs 1 --joint-epochs 1 --rounds 1",
    "embedding": "--images 20 --rounds 1",
    "explore": "--images 50 --rounds 1",
    "input_pipeline": "{data}/imagenet_sample --runs 1",
    "latency": "--rounds 1",
    "memory_growth": "--epochs 4",
    "multi_label": "--weights {weights}/squeezenet_v1.1.npz --images 200 --epochs 1",
    "scan": "{data}/imagenet_sample --runs 1",
    "spp_windows": "--rounds 1 --crops 16",
    "startup": "--runs 1",
    "stochastic_depth": "--steps 2 --batch 8",
    "train_step": "--runs 1",
    "transfer": "{weights}/squeezenet_v1.1.npz {data}/cifar10_jpeg --images 20 --test 10 --epochs 1 --seeds 1",
    "weights": "--runs 1",
}
BY_HAND = {
    "caption_attention": "trains for hours",
    "deep_compression": "needs photographs beside those that are scored",
    "dense_crf_gpu": "needs a GPU",
    "litert": "needs photographs beside those that are scored",
    "litert_models": "needs photographs, and hours",
    "normalized_cuts": "needs BSDS500, unpacked",
    "regions": "needs BSDS500, unpacked",
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run, or 'all'; none: list them")
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("KERAS_VISION_TEST_DATA", "../shared")))
    parser.add_argument("--out", type=Path, default=Path("smallest.md"), help="page to write")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {*SMALLEST, "all"}
    if unknown:
        parser.error(f"no benchmark to run so: {', '.join(sorted(unknown))}; there are {', '.join(SMALLEST)}")
    if not arguments.names:
        for path in sorted(FOLDER.glob("[a-z]*.py")):
            print(f"{path.stem:18}{purpose(path)}{' (by hand)' if path.stem in BY_HAND else ''}")
        return
    chosen = list(SMALLEST) if "all" in arguments.names else arguments.names
    runs = [run(name, arguments.shared) for name in chosen]
    arguments.out.write_text(page(runs))
    print(f"wrote {arguments.out}")
    sys.exit(any(status for _, _, status, _, _ in runs))


def run(name: str, shared: Path) -> tuple[str, str, int, float, str]:
    """Name, arguments, exit status, seconds and output of one benchmark."""
    with tempfile.TemporaryDirectory() as out:
        filled = SMALLEST[name].format(data=shared / "data", weights=shared / "weights", out=out)
        print(f"{name} {filled}", flush=True)
        start = time.perf_counter()
        environment = {**os.environ, "KERAS_VISION_TEST_DATA": str(shared.resolve())}
        done = subprocess.run(
            [sys.executable, FOLDER / f"{name}.py", *filled.split()], env=environment, capture_output=True, text=True
        )
        text = done.stdout if done.returncode == 0 else done.stdout + done.stderr
        return name, SMALLEST[name], done.returncode, time.perf_counter() - start, text


def page(runs: list[tuple[str, str, int, float, str]]) -> str:
    """Markdown: machine and versions, a table, and the outputs."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras", "ai-edge-litert")
    )
    lines = [
        "# Benchmarks at their smallest settings\n",
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python "
        f"{platform.python_version()}, {versions}, {datetime.date.today()}. Too small for their claims.\n",
        "| benchmark | arguments | exit | seconds |\n| --- | --- | ---: | ---: |",
        *(f"| {name} | `{given}` | {status} | {took:.0f} |" for name, given, status, took, _ in runs),
        *(f"\n## {name}\n\n```\n{text.rstrip()}\n```" for name, _, _, _, text in runs),
    ]
    return "\n".join(lines) + "\n"


def purpose(path: Path) -> str:
    """The first line of a script's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


if __name__ == "__main__":
    main()

"""Fast normalised cuts against the full eigenproblem, on a photograph of BSDS500 (481 x 321 pixels).

    python benchmarks/normalized_cuts.py ../BSDS500/data

The peer is `eigsh` of SciPy (ARPACK) on the same affinities, as exactly. Claim: two decimations are at least
10 times as fast. Also printed: principal angles between the spaces of both, where the fast one has two vectors more, as
nearly equal eigenvalues may change places at the cut-off. Times are of the processor, of the eigenvectors alone:
computing the affinities, the same for both, is a row of its own. On a 481 x 321 image the full problem takes minutes.
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import linalg

import keras_vision as kv


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of BSDS500, with images and groundTruth")
    parser.add_argument("--image", type=int, default=0, help="position in the validation set")
    parser.add_argument("--shrink", type=int, default=1, help="divides the image's sides, for a short run")
    parser.add_argument("--count", type=int, default=16, help="vectors of the full problem")
    options = parser.parse_args()
    image = Image.fromarray(kv.data.bsds500(options.folder, "val").image(options.image)).reduce(options.shrink)
    contours = kv.proposals.gradient_contours(np.asarray(image)).max(0)

    graph, affinity = timed(lambda: kv.proposals.intervening_contours(contours))
    fast, (_, vectors) = timed(lambda: kv.proposals.normalized_cuts(contours, options.count + 2))
    table = Table("what", "processor, s", title=f"{options.count} vectors, {image.width} x {image.height} pixels")
    table.add_row(f"affinities, {affinity.nnz / 1e6:.1f} million", f"{graph:.2f}")
    table.add_row("two decimations, vectors alone", f"{fast - graph:.2f}")
    Console().print(table)  # before the long part
    full, (_, exact) = timed(lambda: kv.proposals.normalized_cuts(contours, options.count, steps=0))
    table.add_row("full problem, vectors alone", f"{full - graph:.2f}")
    table.add_row("ratio, vectors alone", f"{(full - graph) / (fast - graph):.1f}x")
    table.add_row("ratio with affinities", f"{full / fast:.1f}x")
    angles = np.degrees(linalg.subspace_angles(*(v.reshape(len(v), -1).T for v in (vectors, exact))))
    Console().print(table)
    print(f"principal angles in degrees, median {np.median(angles):.1f}, all {np.round(angles, 1).tolist()}")
    print(f"machine: {platform.processor() or platform.machine()}")


if __name__ == "__main__":
    main()

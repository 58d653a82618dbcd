"""Steps to a fixed accuracy on MNIST, with and without batch norm, at the base rate and above (Figure 3 of the paper).

    python benchmarks/batch_norm.py ../shared/data/mnist

Claims, for the network of section 4.1, which has sigmoids, and the same with ReLU: with batch norm fewer steps than
without at the same rate, still fewer at five times that rate, and there at least five times fewer than without. The
network without batch norm at five times the rate, which did not train at all for the paper's Inception, is reported.
The networks and the rate are those of `keras_vision.training.recipes.batch_norm`, the folder holds the four files of
MNIST; medians over seeds.
"""

import argparse
import dataclasses
import os
import platform
import statistics
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.console import Console
from rich.table import Table

from keras_vision.data import mnist
from keras_vision.training.recipes.batch_norm import ARMS, STEPS, train

TARGETS = {"sigmoid": 0.96, "relu": 0.975}
NETWORKS = {
    "without": ARMS["Baseline"],
    "without, x5": dataclasses.replace(ARMS["Baseline"], rate=5),
    **{name: ARMS[name] for name in ("BN-Baseline", "BN-x5", "BN-x30")},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of MNIST's four files")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    digits = mnist(arguments.data, "train"), mnist(arguments.data, "test")
    table = Table("activation", "network", "steps to", "median", "of each seed", "fewer than without", "claim")
    holds = {}
    for activation, target in TARGETS.items():
        steps: dict[str, list[float]] = {}
        for name, network in NETWORKS.items():
            arm = dataclasses.replace(network, activation=activation)
            curves = [train(arm, *digits, seed=seed, until=target) for seed in range(arguments.seeds)]
            steps[name] = [curve.steps_to(target) for curve in curves]
        median = {name: statistics.median(each) for name, each in steps.items()}
        for name, each in steps.items():
            claim = ">= 5x" if name == "BN-x5" else ""
            ratio = f"{median['without'] / median[name]:.1f}x"
            listed = ", ".join(f"{number:,.0f}" for number in each)
            table.add_row(activation, name, f"{target:.1%}", f"{median[name]:,.0f}", listed, ratio, claim)
        holds[activation] = median["without"] > median["BN-Baseline"] > median["BN-x5"]
    console = Console(width=120)
    console.print(table)
    order = ", ".join(f"{activation}: {'yes' if held else 'no'}" for activation, held in holds.items())
    console.print(f"without > BN-Baseline > BN-x5 in steps? {order}")
    console.print(f"at most {STEPS:,} steps; inf: not reached. {platform.processor() or platform.machine()}")


if __name__ == "__main__":
    main()

"""Steps to a fixed accuracy on MNIST, with and without batch norm, at the base rate and above (Figure 3 of the paper).

    python benchmarks/batch_norm.py ../shared/data/mnist

Claims: with batch norm fewer steps at the same rate, still fewer at five times the rate, which takes at least five times
fewer than the network without batch norm at its own best rate. The networks are those of
`keras_vision.training.recipes.batch_norm`; the folder holds the four files of MNIST. Medians over seeds.
"""

import argparse
import os
import statistics
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.console import Console
from rich.table import Table

from keras_vision.data import mnist
from keras_vision.training.recipes.batch_norm import ARMS, BASE_RATE, Arm, train

TARGET, MOST = 0.96, 50_000
RATES = (0.1, 0.3, 1, 3, 5, 10, 30)  # of the network without batch norm, in base rates

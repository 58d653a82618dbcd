"""Whether attention helps: the small captioner against the same decoder on the mean annotation vector, over seeds.

    python benchmarks/caption_attention.py FLICKR8K_PART OUT --start squeezenet_v1.1.npz [--seeds 3] [--epochs 20]

Trains the recipes `show-attend-tell-small` and `show-attend-tell-small-mean`, both without fine-tuning the encoder, on
the same split with each seed of weights and order, and prints BLEU of each with the mean and its standard deviation.
Runs that are finished in OUT are not repeated.
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_vision.training import find_recipe, run_caption_recipe

ARMS = {"attention": "show-attend-tell-small", "mean pooling": "show-attend-tell-small-mean"}
SCORES = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", required=True, help="weights of SqueezeNet v1.1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    found = {arm: [] for arm in ARMS}
    for seed in range(given.seeds):
        for arm, name in ARMS.items():
            changes = dict(start=given.start, seed=seed, epochs=given.epochs, tuned_epochs=0)
            recipe, out = dataclasses.replace(find_recipe(name), **changes), given.out / f"{arm.split()[0]}-{seed}"
            finished = out / "metrics.json"
            kept = finished.exists()
            scores = json.loads(finished.read_text()) if kept else run_caption_recipe(recipe, given.data, out)
            found[arm].append([scores[key] for key in SCORES])
    table = Table("arm", *SCORES)
    for arm, rows in found.items():
        for seed, scores in enumerate(rows):
            table.add_row(f"{arm}, seed {seed}", *(f"{score:.3f}" for score in scores))
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1 if len(rows) > 1 else 0)
        cells = (f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, spread, strict=True))
        table.add_row(f"{arm}, mean", *cells, style="bold")
    Console().print(table)


if __name__ == "__main__":
    main()

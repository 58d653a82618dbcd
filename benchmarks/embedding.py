"""Embedding a folder with SqueezeNet v1.1: against Orange's local embedder, and against Keras one image at a time.

    python benchmarks/embedding.py [--orange /path/to/venv/bin/python] [--memory] [--accuracy]

Claims: at least 5x the images per second of Orange3-ImageAnalytics' local SqueezeNet embedder on the same folder (it is
run with the interpreter of `--orange`, an environment with Orange3-ImageAnalytics; left out otherwise), and at least 3x
those of `keras.Model.predict` on one image at a time. Reading and decoding count; loading the network does not. Each
way has a process of its own, and they take turns. `--memory` streams 1,000 and 20,000 files; the peak must not grow.
`--accuracy` classifies CIFAR-10's test images, and photographs of ImageNet in six coarse groups, by the nearest
neighbours (5, cosine distance).
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.console import Console
from rich.table import Table

SHARED = Path(os.environ.get("KERAS_VISION_TEST_DATA", Path(__file__).parents[2] / "shared"))
WEIGHTS = SHARED / "weights" / "squeezenet_v1.1.npz"
ORANGE = """
import sys, time
from orangecontrib.imageanalytics.local_embedder import LocalEmbedder
from orangecontrib.imageanalytics.image_embedder import MODELS
embedder = LocalEmbedder("squeezenet", MODELS["squeezenet"])
embedder._cache._cache_dict = {}
embedder._cache.get_cached_result_or_none = lambda key: None
embedder._cache.persist_cache = lambda: None
start = time.perf_counter()
found = embedder.embedd_data(sys.argv[1:])
assert all(each is not None for each in found)
print(len(found) / (time.perf_counter() - start))
"""
# Classes of ImageNet by index: six groups that a person would make.
GROUPS = {
    "bird": [(7, 25), (80, 101), (127, 147)],
    "dog": [(151, 269)],
    "other mammal": [(101, 107), (147, 151), (269, 300), (330, 389)],
    "reptile, amphibian, fish": [(0, 7), (25, 69), (389, 398)],
    "insect, spider, shellfish": [(69, 80), (107, 127), (300, 330)],
    "thing, place, food": [(398, 1000)],
}


def ours(paths: list[str], file: str) -> float:
    """Images per second of `ImageEmbedder` without a cache."""
    from keras_vision.analytics import ImageEmbedder

    embedder = ImageEmbedder(file, cache=False).fit()
    start = time.perf_counter()
    count = sum(len(part.paths) for part in embedder.stream(paths))
    return count / (time.perf_counter() - start)


def keras_alone(paths: list[str], file: str) -> float:
    """Images per second of `predict` on one image after the other."""
    import keras_vision as kv
    from keras_vision.analytics import feature_network
    from keras_vision.runtime import open_image

    network = feature_network(kv.applications.SqueezeNetV1_1(weights=WEIGHTS))
    network.predict(network.preprocessing(open_image(paths[0]))[None], verbose=0)
    start = time.perf_counter()
    for path in paths:
        network.predict(network.preprocessing(open_image(path))[None], verbose=0)
    return len(paths) / (time.perf_counter() - start)


def peak(paths: list[str], file: str) -> float:
    """Peak memory of streaming these files, in MB."""
    from keras_vision.analytics import ImageEmbedder

    for _ in ImageEmbedder(file, cache=False).stream(paths):
        pass
    status = Path("/proc/self/status").read_text()  # of this program; getrusage starts at what the parent had
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


WAYS = {"ImageEmbedder": ours, "keras predict, one image at a time": keras_alone, "peak": peak}


def in_a_process(way: str, paths: list[str], file: str) -> float:
    """What a way gives in a new process."""
    command = [sys.executable, __file__, "--way", way, "--file", file]
    done = subprocess.run(command, input=json.dumps(paths), check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def in_orange(python: str, paths: list[str]) -> float:
    """Images per second of Orange's local embedder."""
    command = [python, "-c", ORANGE, *paths]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def accuracy(folder: str, table: Table) -> None:
    """Rows of nearest-neighbour accuracies."""
    import numpy as np
    from sklearn.decomposition import PCA

    import keras_vision as kv
    from keras_vision.analytics import ImageEmbedder, cross_validate, label_of, walk_images
    from keras_vision.runtime import open_image

    with tarfile.open(SHARED / "data" / "cifar10_jpeg" / "cifar10_jpeg_test.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    cifar = [str(path) for i, path in enumerate(walk_images([folder])) if i % 4 == 0]
    sets = {"CIFAR-10, 2,500 of the test images": (cifar, [label_of(path, folder) for path in cifar])}
    photographs = sorted(map(str, (SHARED / "data" / "imagenet_sample").glob("*.JPEG")))
    wnids = (SHARED / "data" / "imagenet_labels" / "synset_words.txt").read_text().splitlines()
    index = {line.split()[0]: i for i, line in enumerate(wnids)}
    groups = [group_of(index[Path(path).name.partition("_")[0]]) for path in photographs]
    sets["ImageNet sample, 500 images in six groups"] = (photographs, groups)
    weights = SHARED / "weights"
    embedders = {
        "SqueezeNet v1.1": ImageEmbedder("SqueezeNetV1_1", WEIGHTS),
        "SqueezeNet v1.0": ImageEmbedder("SqueezeNet", weights / "compressed_SqueezeNet.net"),
        "ResNet-20 of CIFAR-10": ImageEmbedder("ResNet20CIFAR", weights / "resnet20-12fca82f.th"),
    }
    for title, (paths, labels) in sets.items():
        for name, embedder in embedders.items():
            score = cross_validate(embedder.transform(paths), labels, "neighbours", folds=5)
            table.add_row(title, name, f"{score.ca:.1%}")
        spec = kv.Preprocessing((16, 16), None)
        pixels = np.stack([spec(open_image(path)).ravel() for path in paths])
        score = cross_validate(PCA(50, random_state=0).fit_transform(pixels), labels, "neighbours", folds=5)
        table.add_row(title, "pixels, 16 x 16, 50 principal components", f"{score.ca:.1%}")


def group_of(index: int) -> str:
    """The coarse group of a class."""
    return next(name for name, spans in GROUPS.items() if any(low <= index < high for low, high in spans))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orange", help="interpreter of an environment with Orange3-ImageAnalytics")
    parser.add_argument("--images", type=int, default=200, help="images of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(WAYS[arguments.way](json.load(sys.stdin), arguments.file))
        return
    console = Console(width=110)
    whole = sorted(map(str, (SHARED / "data" / "imagenet_sample").glob("*.JPEG")))
    paths = whole[: arguments.images]
    with tempfile.TemporaryDirectory() as folder:
        from keras_vision.analytics import ImageEmbedder

        file = f"{folder}/features.tflite"
        ImageEmbedder("SqueezeNetV1_1", WEIGHTS, cache=False).export(file)
        rates: dict[str, list[float]] = {name: [] for name in ("ImageEmbedder", "keras predict, one image at a time")}
        if arguments.orange:
            rates["Orange, local SqueezeNet"] = []
        for _ in range(arguments.rounds):
            for name, column in rates.items():
                orange = name.startswith("Orange")
                column.append(in_orange(arguments.orange, paths) if orange else in_a_process(name, paths, file))
        claims = {"Orange, local SqueezeNet": ">= 5", "keras predict, one image at a time": ">= 3"}
        table = Table("SqueezeNet v1.1, photographs of ImageNet", "images/s", "ours / theirs", "claim")
        for name, column in rates.items():
            ratio = statistics.median(o / t for o, t in zip(rates["ImageEmbedder"], column, strict=True))
            table.add_row(name, f"{statistics.median(column):.1f}", f"{ratio:.2f}", claims.get(name, ""))
        console.print(table)
        if arguments.memory:
            table = Table("files streamed", "peak MB", "ratio", "claim")
            first = in_a_process("peak", list(islice(cycle(whole), 1000)), file)
            last = in_a_process("peak", list(islice(cycle(whole), 20000)), file)
            table.add_row("1,000", f"{first:.0f}", "1.00", "")
            table.add_row("20,000", f"{last:.0f}", f"{last / first:.2f}", "<= 1.1")
            console.print(table)
        if arguments.accuracy:
            table = Table("images", "embedder", "5 nearest neighbours")
            accuracy(f"{folder}/cifar", table)
            console.print(table)
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {arguments.rounds} rounds")


if __name__ == "__main__":
    main()

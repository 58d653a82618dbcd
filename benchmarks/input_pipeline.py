"""`keras_vision.data.Pipeline` against Keras' own input pipeline and bare decoding, in the same run.

    python benchmarks/input_pipeline.py FOLDER

FOLDER has photographs, such as those of ImageNet. Each of them is read `COPIES` times in an epoch, so that the half
second in which an epoch begins weighs as in training. A random part of each image (8 to 100 % of its area), mirrored
half of the time, at 224 x 224. Claims, in images per second: on baseline JPEGs at least 1.2 of
`keras.utils.image_dataset_from_directory` with RandomCrop and RandomFlip, and 0.9 of bare decoding; on the files as
they are 1.0 of Keras; on photographs of four megapixels 2.0. TFRecord shards against 20,000 small files are reported.
They run in turn; medians and the median of pairwise ratios.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from PIL import Image
from rich.console import Console
from rich.table import Table

from keras_vision.data import LabelledImages, Pipeline, class_folders, shards, write_shards
from keras_vision.data.augment import AreaCrop, Augmentation
from keras_vision.runtime import Preprocessing, list_images

SIZE, BATCH = (224, 224), 32
SPEC = Preprocessing(SIZE, 256)
MEGAPIXELS = 4
SMALL_FILES = 20_000
COPIES = 4


def ours(images: LabelledImages) -> tf.data.Dataset:
    return Pipeline(images, SPEC, BATCH, augment=Augmentation(AreaCrop()), seed=0).epoch(0)


def by_keras(folder: Path) -> tf.data.Dataset:
    crop, flip = keras.layers.RandomCrop(*SIZE), keras.layers.RandomFlip("horizontal")
    images = keras.utils.image_dataset_from_directory(folder, batch_size=BATCH, image_size=(256, 256), verbose=False)
    augmented = images.map(lambda x, y: (flip(crop(x, training=True), training=True), y), tf.data.AUTOTUNE)
    return augmented.prefetch(tf.data.AUTOTUNE)


def bare(folder: Path) -> tf.data.Dataset:
    paths = tf.data.Dataset.from_tensor_slices([str(path) for path in list_images([folder])])
    return paths.map(lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3), tf.data.AUTOTUNE)


def seconds(dataset: Iterable) -> float:
    start = time.perf_counter()
    for _ in dataset:
        pass
    return time.perf_counter() - start


def rounds(datasets: list[tf.data.Dataset], runs: int) -> list[tuple[float, ...]]:
    return [tuple(map(seconds, datasets)) for _ in range(runs + 1)][1:]  # the first fills the cache of files


def written(folder: Path, photographs: list[Path], save: Callable[[Path, Path], object], copies: int = COPIES) -> Path:
    """The photographs, as `save` writes them, in two classes, and links to them."""
    for number, path in enumerate(photographs):
        target = folder / "ab"[number % 2] / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        save(path, target)
        for copy in range(1, copies):
            (target.parent / f"{number}_{copy}.jpg").symlink_to(target.resolve())
    return folder


def baseline(path: Path, target: Path) -> None:
    Image.open(path).convert("RGB").save(target, quality=95)


def enlarged(path: Path, target: Path) -> None:
    image = Image.open(path).convert("RGB")
    scale = (MEGAPIXELS * 1e6 / (image.width * image.height)) ** 0.5
    image.resize((round(image.width * scale), round(image.height * scale))).save(target, quality=90)


def small(path: Path, target: Path) -> None:
    Image.open(path).convert("RGB").resize((32, 32)).save(target, quality=95)


def row(
    table: Table, what: str, peer: str, times: list[tuple[float, ...]], peer_at: int, images: int, claim: str
) -> None:
    ratios = sorted(round_[peer_at] / round_[0] for round_ in times)
    rates = [statistics.median(images / round_[at] for round_ in times) for at in (0, peer_at)]
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    table.add_row(what, peer, *(f"{rate:,.0f}/s" for rate in rates), f"{statistics.median(ratios):.2f}", spread, claim)


def against_peers(table: Table, what: str, folder: Path, runs: int, claims: dict[str, str]) -> None:
    images = class_folders(folder)
    times = rounds([ours(images), by_keras(folder), bare(folder)], runs)
    for at, (peer, claim) in enumerate(claims.items(), 1):
        row(table, what, peer, times, at, len(images), claim)


def shards_against_files(table: Table, folder: Path, photographs: list[Path], runs: int) -> None:
    few = list(list_images([written(folder / "few", photographs, small, copies=1)]))
    copies = [few[i % len(few)] for i in range(SMALL_FILES)]
    images = class_folders(
        written(folder / "small", copies, lambda path, target: target.write_bytes(path.read_bytes()), copies=1)
    )
    write_shards(images, folder / "shards", shards=64)
    times = rounds([ours(shards(folder / "shards")), ours(images)], runs)
    row(table, "shards, 32 x 32 pixels", "20,000 files", times, 1, len(images), "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    photographs = list(list_images([arguments.folder]))
    table = Table("images", "peer", "ours", "peer's", "ratio", "range", "claim")
    with tempfile.TemporaryDirectory() as name:
        root, runs = Path(name), arguments.runs
        as_baseline = written(root / "baseline", photographs, baseline)
        against_peers(table, "baseline JPEG", as_baseline, runs, {"Keras": ">= 1.2", "bare decoding": ">= 0.9"})
        as_they_are = written(root / "files", photographs, lambda path, target: os.symlink(path.resolve(), target))
        against_peers(table, "as they are", as_they_are, runs, {"Keras": ">= 1.0", "bare decoding": "none"})
        large = written(root / "large", photographs[:100], enlarged)
        against_peers(table, "4 megapixels", large, runs, {"Keras": ">= 2.0", "bare decoding": "none"})
        shards_against_files(table, root, photographs, max(3, runs // 3))
    console = Console(width=120)
    console.print(table)
    machine = platform.processor() or platform.machine()
    console.print(f"{machine}, {os.cpu_count()} processors, {arguments.runs} runs each, in turn")


if __name__ == "__main__":
    main()

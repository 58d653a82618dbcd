"""Resident memory of a training run, epoch by epoch: it must not grow.

    python benchmarks/memory_growth.py

A network trains in this process, which does nothing else, with `kv.training.train`: images are read from JPEG files
through `kv.data.Pipeline` with CIFAR's augmentation, every epoch is validated, and a snapshot is written at its end and
every second. Memory is what the kernel counts as resident at each epoch's end. Claim: from the third epoch to the last
it grows by at most 2 %; the first two trace the graphs and fill the allocator's pools. glibc gives each of TensorFlow's
threads a pool of its own, which fill up over more epochs: MALLOC_ARENA_MAX=2 in the environment tells that from a leak.
The images are those of the test data (KERAS_VISION_TEST_DATA, default ../shared).
"""

import argparse
import os
import platform
import tarfile
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from rich.console import Console
from rich.table import Table

import keras_vision as kv

DATA = Path(os.environ.get("KERAS_VISION_TEST_DATA", Path(__file__).parents[2] / "shared")) / "data" / "cifar10_jpeg"
NETWORKS = {"ResNet20CIFAR": dict(input_shape=(32, 32, 3)), "SqueezeNetV1_1": dict(input_shape=(64, 64, 3))}
FROM, ALLOWED = 3, 0.02
PER_CLASS = {"train": 64, "test": 16}


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Memory(keras.callbacks.Callback):
    """What is resident at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: list[int] = []

    def on_epoch_end(self, epoch, logs=None):
        self.bytes.append(resident())


def images(part: str, folder: Path) -> kv.data.LabelledImages:
    """The first images of each class of CIFAR-10."""
    numbers = {f"{number:04d}.jpg" for number in range(PER_CLASS[part])}
    with tarfile.open(DATA / f"cifar10_jpeg_{part}.tar.gz") as archive:
        wanted = [member for member in archive if member.isfile() and Path(member.name).name in numbers]
        archive.extractall(folder, wanted, filter="data")
    return kv.data.image_folder(folder / part)


def memory_of(name: str, epochs: int, folder: Path) -> list[int]:
    """Bytes at the end of each epoch of training this network."""
    keras.utils.set_random_seed(0)
    model = kv.create_model(name, weights=None, classes=10, **NETWORKS[name])
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    spec, batch = model.preprocessing, 32
    training = kv.data.Pipeline(images("train", folder), spec, batch, seed=0, augment=kv.data.augment.cifar())
    memory = Memory()
    kv.training.train(
        model,
        lambda epoch, step: training.epoch(epoch, step * batch),
        epochs=epochs,
        validation=kv.data.Pipeline(images("test", folder), spec, batch).epoch(0),
        callbacks=[memory],
        snapshots=folder / "snapshot.npz",
        every=1.0,
    )
    return memory.bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", nargs="?", default="ResNet20CIFAR", choices=NETWORKS)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = memory_of(arguments.network, arguments.epochs, Path(folder))
    first = sizes[FROM - 1]
    table = Table("epoch", "resident, MB", f"against epoch {FROM}", title=arguments.network)
    for epoch, size in enumerate(sizes, 1):
        table.add_row(str(epoch), f"{size / 1e6:.1f}", f"{size / first - 1:+.2%}" if epoch >= FROM else "")
    console = Console()
    console.print(table)
    growth = sizes[-1] / first - 1
    verdict = "holds" if growth <= ALLOWED else "does not hold"
    console.print(f"growth from epoch {FROM} to {len(sizes)}: {growth:+.2%}; at most {ALLOWED:.0%} {verdict}")
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors")


if __name__ == "__main__":
    main()

"""`keras-vision explore` on 1,000 images of CIFAR-10: time, size, and what a browser decodes before it shows something.

    python benchmarks/explore.py [--images 1000]

Claims: the whole command takes at most 3x the time of embedding alone (`keras-vision embed`, same start and same
network, no cache); the page has at most 10 MB; headless Chromium paints before a tenth of the thumbnails is decoded.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.console import Console
from rich.table import Table

SHARED = Path(os.environ.get("KERAS_VISION_TEST_DATA", Path(__file__).parents[2] / "shared"))
SCRIPT = "[painted, performance.getEntriesByName('painted')[0].startTime]"


def extract(folder: Path, count: int) -> None:
    """As many test images of CIFAR-10, evenly over the classes."""
    with tarfile.open(SHARED / "data" / "cifar10_jpeg" / "cifar10_jpeg_test.tar.gz") as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        step = len(members) / count
        archive.extractall(folder, [members[int(i * step)] for i in range(count)], filter="data")


def seconds(*arguments: str) -> float:
    """Wall time of a command of the package."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "keras_vision.cli.main", *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def first_paint(page: Path) -> tuple[int, float]:
    """Thumbnails decoded at the first picture, and milliseconds to it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tab.goto(page.as_uri())
        while tab.evaluate("painted < 0"):  # the page's policy forbids what `wait_for_function` does
            tab.wait_for_timeout(10)
        decoded, milliseconds = tab.evaluate(SCRIPT)
        browser.close()
    return decoded, milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        extract(folder / "images", arguments.images)
        from keras_vision.analytics import ImageEmbedder

        network = folder / "features.tflite"
        ImageEmbedder("SqueezeNetV1_1", SHARED / "weights" / "squeezenet_v1.1.npz", cache=False).export(network)
        images, page = folder / "images" / "test", folder / "page.html"
        common = ("--model", str(network), "--no-cache", "--overwrite")
        embed, explore = [], []
        for _ in range(arguments.rounds):
            embed.append(seconds("embed", str(images), str(folder / "out.parquet"), *common))
            explore.append(seconds("explore", str(images), "--out", str(page), *common))
        megabytes = page.stat().st_size / 1e6
        decoded, milliseconds = first_paint(page)
    table = Table(f"{arguments.images} images of CIFAR-10", "measured", "claim")
    table.add_row("embed", f"{statistics.median(embed):.1f} s", "")
    table.add_row("explore", f"{statistics.median(explore):.1f} s", "")
    ratio = statistics.median(b / a for a, b in zip(embed, explore, strict=True))
    table.add_row("explore / embed", f"{ratio:.2f}", "<= 3")
    table.add_row("page", f"{megabytes:.2f} MB", "<= 10 MB")
    table.add_row("decoded at the first picture", f"{decoded / arguments.images:.1%}", "< 10 %")
    table.add_row("time to it", f"{milliseconds:.0f} ms", "")
    console = Console(width=90)
    console.print(table)
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {arguments.rounds} rounds")


if __name__ == "__main__":
    main()

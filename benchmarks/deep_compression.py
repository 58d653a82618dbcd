"""SqueezeNet v1.0 by Deep Compression: bytes and top-1, beside the authors' own file (Table 2 of the paper).

    python benchmarks/deep_compression.py ../shared/weights/compressed_SqueezeNet.net PHOTOGRAPHS \\
        ../shared/data/imagenet_sample --synsets ../shared/data/imagenet_labels/synset_words.txt

Claims: with 8 bits at most 0.65 MiB and with 6 bits at most 0.47 MB, at a sparsity of 0.67, each within 1.0 point of
top-1 of the network in float32. The photographs are any, without labels, and none of the images that are scored.
"""

import argparse
import os
import platform
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from rich.console import Console
from rich.table import Table

import keras_vision as kv
from keras_vision.compression import Photographs, compress
from keras_vision.data import LabelledImages, validation_images
from keras_vision.evaluation import evaluate, protocol

LARGEST = {8: 0.65 * 2**20, 6: 470_000}  # bytes
POINTS = 1.0  # of top-1 that may be lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path, help="the authors' compressed_SqueezeNet.net")
    parser.add_argument("photographs", type=Path, help="folder of photographs without labels")
    parser.add_argument("images", type=Path, help="labelled images to score, for `keras-vision evaluate`")
    parser.add_argument("--synsets", type=Path)
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 5, 4])
    parser.add_argument("--limit", type=int, default=32, help="photographs to take")
    arguments = parser.parse_args()
    images = validation_images(arguments.images, None, arguments.synsets)
    table = Table("network", "bytes", "of the authors'", "top-1", "top-5", "points lost", "claim")
    theirs = arguments.weights.stat().st_size
    float32 = score(kv.create_model("SqueezeNet", weights=arguments.weights), images)
    table.add_row("the authors' file", f"{theirs:,}", "1.00x", *(f"{hits}/{len(images)}" for hits in float32), "", "")
    for bits in arguments.bits:
        for photographs in (False, True):
            size, own = compressed(arguments, bits, photographs, images)
            lost = 100 * (float32[0] - own[0]) / len(images)
            held = size <= LARGEST.get(bits, size) and lost <= POINTS
            claim = ("yes" if held else "no") if bits in LARGEST and photographs else ""
            name = f"{bits} bits" + (", with photographs" if photographs else "")
            hits = [f"{count}/{len(images)}" for count in own]
            table.add_row(name, f"{size:,}", f"{size / theirs:.2f}x", *hits, f"{lost:.1f}", claim)
    console = Console(width=120)
    console.print(table)
    console.print(f"{platform.processor() or platform.machine()}; {arguments.limit} photographs")


def compressed(arguments: argparse.Namespace, bits: int, photographs: bool, images: LabelledImages) -> tuple:
    """Bytes of the file, and top-1 and top-5 hits of what it decodes to."""
    model = kv.create_model("SqueezeNet", weights=arguments.weights)
    batches = None
    if photographs:
        batches = Photographs([arguments.photographs], model.preprocessing, limit=arguments.limit)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "squeezenet.kvpack"
        ledger = compress(model, path, bits=bits, sparsity=0.67, images=batches)
        return ledger.size, score(kv.compression.load_packed(path), images)


def score(model: keras.Model, images: LabelledImages) -> tuple[int, int]:
    result = evaluate([model], images, protocol("single", ()), batch_size=50)
    return result.hits(1), result.hits(5)


if __name__ == "__main__":
    main()

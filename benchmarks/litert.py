"""LiteRT files: the claims on SqueezeNet and Inception-v3, and against other ways; litert_models.py has every model.

    python benchmarks/litert.py --data ../shared --calibrate PHOTOGRAPHS [--only PART ...] [--models NAME ...]

Parts: `squeezenet` (real weights, int8, on ImageNet photographs), `inception` (int8 and dynamic range against float),
`applications` (float files against those of keras.applications' models, converted without our code), `start` (process
start to first prediction against TensorFlow), `folder` (images of a folder against `keras.Model.predict`).

PHOTOGRAPHS is a folder of any photographs other than the test images, such as Flickr8k's. Files are timed in turn, and
medians count.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from rich.console import Console
from rich.table import Table

THREADS, CALLS, IMAGES = 2, 15, 100
FORMS = (None, "float16", "dynamic", "int8")
PEERS = ("InceptionV3", "Xception", "VGG16", "ResNet50", "DenseNet121")
START = {
    "runtime": "from keras_vision.runtime import Predictor; print(Predictor({tflite!r}).classify({image!r})[0].index)",
    "TensorFlow": "import tensorflow as tf; m = tf.saved_model.load({saved!r}).signatures['serve_bytes'];"
    "print(int(m(image_bytes=tf.constant([open({image!r}, 'rb').read()]))['probability'][0].numpy().argmax()))",
}

Row = tuple[str, ...]


def built(name: str, data: Path, **settings: Any) -> Any:
    """A model of the zoo; SqueezeNet with the authors' weights."""
    import keras_vision as kv

    file = data / "weights/compressed_SqueezeNet.net"
    return kv.create_model(name, weights=file if name == "SqueezeNet" else None, **settings)


def exported(
    model: Any, folder: Path, calibrate: Path, forms: tuple[str | None, ...] = FORMS, images: int = IMAGES
) -> dict[str, Path]:
    """A file of each form; those that cannot be made are left out, with the reason printed."""
    from keras_vision.export import to_litert

    found = {}
    for form in forms:
        path = folder / f"{model.name}_{form}.tflite"
        data = dict(representative=calibrate, images=images, agreement=0.0) if form == "int8" else {}
        try:
            to_litert(model, path, quantize=form, overwrite=True, **data)
            found[form or "float32"] = path
        except ValueError as error:
            print(f"{model.name} as {form}: {error}", file=sys.stderr)
    return found


def times(files: dict[str, Path], model: Any, calls: int) -> dict[str, float]:
    """Milliseconds of one image by form."""
    from keras_vision.export.latency import latencies

    image = np.random.default_rng(0).normal(0, 1, (1, *model.inputs[0].shape[1:])).astype(np.float32)
    found = latencies(list(files.values()), image, (THREADS,), calls)
    return {form: found[path][THREADS] for form, path in files.items()}


def squeezenet(given: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """The claims on the authors' network."""
    from keras_vision.runtime import Predictor

    words = (given.data / "data/imagenet_labels/synset_words.txt").read_text().splitlines()
    index = {line.split()[0]: place for place, line in enumerate(words)}
    photographs = sorted((given.data / "data/imagenet_sample").glob("*.JPEG"))[:: given.every]
    labels = np.array([index[file.name.split("_")[0]] for file in photographs])
    model = built("SqueezeNet", given.data)
    files = exported(model, folder, given.calibrate, (None, "int8"))
    answers = {form: Predictor(path).predict(photographs).argmax(1) for form, path in files.items()}
    taken, size = times(files, model, given.calls), files["int8"].stat().st_size / 2**20
    top1 = {form: (found == labels).mean() for form, found in answers.items()}
    same = (answers["int8"] == answers["float32"]).mean()
    yield "SqueezeNet v1.0, int8", "ours", "claim"
    yield "size", f"{size:.2f} MiB", "<= 1.35 MiB"
    yield f"same answer on {len(labels)} photographs", f"{same:.1%}", ">= 90 %"
    yield "top-1, float and int8", f"{top1['float32']:.1%}, {top1['int8']:.1%}", "within 1 point"
    yield "latency against float", f"{taken['int8'] / taken['float32']:.2f}", "<= 0.5"


def inception(given: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """The claims on Inception-v3, whose weights do not matter for them."""
    model = built("InceptionV3", given.data)
    files = exported(model, folder, given.calibrate)
    taken, sizes = times(files, model, given.calls), {form: path.stat().st_size for form, path in files.items()}
    yield "Inception-v3", "ours", "claim"
    yield "int8: size against float", f"{sizes['int8'] / sizes['float32']:.3f}", "<= 0.27"
    yield "int8: latency against float", f"{taken['int8'] / taken['float32']:.2f}", "<= 0.7"
    yield "dynamic range: latency against float", f"{taken['dynamic'] / taken['float32']:.2f}", "<= 0.4"
    for form, ms in taken.items():
        yield form, f"{ms:.1f} ms", "fastest here" if ms == min(taken.values()) else ""


def applications(given: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Float files against files of keras.applications' models that TensorFlow's converter wrote."""
    import keras
    import tensorflow as tf

    yield "float32, peer: keras.applications", "ours ms", "peer ms", "speed", "claim"
    for name in given.models or PEERS:
        peer = getattr(keras.applications, name)(weights=None)
        model = built(name, given.data, input_shape=tuple(peer.inputs[0].shape[1:]))
        files = exported(model, folder, given.calibrate, (None,))
        spec = [tf.TensorSpec((1, *peer.inputs[0].shape[1:]), tf.float32)]
        module = tf.Module()
        module.serve, module.tracked = tf.function(peer, input_signature=spec), [v.value for v in peer.variables]
        concrete = module.serve.get_concrete_function()
        files["peer"] = folder / f"peer_{name}.tflite"
        files["peer"].write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())
        taken = times(files, model, given.calls)
        ratio = taken["peer"] / taken["float32"]
        yield name, f"{taken['float32']:.1f}", f"{taken['peer']:.1f}", f"{ratio:.2f}", ">= 1.0"


def start(given: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Whole processes to the first prediction of SqueezeNet."""
    from keras_vision.export import to_saved_model

    model = built("SqueezeNet", given.data)
    files = exported(model, folder, given.calibrate, (None,))
    to_saved_model(model, folder / "saved")
    image = str(next((given.data / "data/imagenet_sample").glob("*.JPEG")))
    names = dict(tflite=str(files["float32"]), saved=str(folder / "saved"), image=image)
    codes = {way: code.format(**names) for way, code in START.items()}
    rounds = [
        {way: seconds(lambda code=code: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True))
         for way, code in codes.items()}
        for _ in range(1 + given.rounds)
    ][1:]  # fmt: skip
    yield "process start to first prediction", "runtime", "TensorFlow", "ratio", "claim"
    yield compared("SqueezeNet", rounds, "runtime", "TensorFlow", "<= 0.3")


def folder_of_images(given: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Photographs on disk to classes: the runtime against `predict` on a data set that decodes in parallel."""
    import keras
    import tensorflow as tf

    from keras_vision.data import load_pixels
    from keras_vision.runtime import Predictor

    model = built("SqueezeNet", given.data)
    files = exported(model, folder, given.calibrate, (None, "int8"))
    photographs = sorted((given.data / "data/imagenet_sample").glob("*.JPEG"))[:: given.every]
    predictors = {form: Predictor(path, threads=THREADS) for form, path in files.items()}
    spec = model.preprocessing

    def through_keras() -> Any:
        def load(name: Any) -> Any:
            return keras.ops.subtract(
                load_pixels(tf.io.read_file(name), spec)[..., ::-1], np.array(spec.mean, "float32")
            )

        names = tf.data.Dataset.from_tensor_slices([str(file) for file in photographs])
        return model.predict(names.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(2), verbose=0)

    ways = {form: lambda p=predictor: p.predict(photographs) for form, predictor in predictors.items()}
    ways["Keras"] = through_keras
    rounds = [{way: seconds(run) for way, run in ways.items()} for _ in range(1 + given.rounds)][1:]
    yield f"{len(photographs)} photographs", "runtime s", "Keras s", "runtime's time against Keras'", "claim"
    for form in files:
        yield compared(f"SqueezeNet, {form}", rounds, form, "Keras", "<= 0.67 (1.5x)")


def compared(name: str, rounds: list[dict[str, float]], ours: str, peer: str, claim: str) -> Row:
    """A row of two medians and the median of the ratios of each round."""
    medians = [f"{statistics.median(r[way] for r in rounds):.2f}" for way in (ours, peer)]
    return name, *medians, f"{statistics.median(r[ours] / r[peer] for r in rounds):.2f}", claim


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


PARTS = {
    "squeezenet": squeezenet, "inception": inception, "applications": applications,
    "start": start, "folder": folder_of_images,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--calibrate", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--models", nargs="*", help="of `applications`, in place of its own")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="take every nth test photograph")
    given = parser.parse_args()
    console = Console(width=140)
    for part in given.only:
        with tempfile.TemporaryDirectory() as folder:
            head, *rows = PARTS[part](given, Path(folder))
        table = Table(*head)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {THREADS} threads, {given.calls} calls"
    )


if __name__ == "__main__":
    main()

"""The fully-connected CRF against pydensecrf: time, scaling, accuracy.

    pip install pydensecrf2
    python benchmarks/dense_crf.py [--part speed|scaling|accuracy|gradient|voc]

Both get the same logits and image in every round, in the same process, in turns; a time is the whole call with eager
tensors, lattice included; the figures are medians over the rounds, and the ratio is the median of the rounds' ratios.
Parameters are the common ones: sxy 3 and 80, srgb 13, compat 3 and 10, 10 iterations. Claims:

* with AVX-512, 2 threads: >= 9x with 21 labels and with 2; 1 thread: >= 5x and >= 5.5x;
* with AVX2, 2 threads: >= 7x and >= 6x; 1 thread: >= 4x and >= 3.3x; noise images, 2 threads: >= 3x;
* time linear in pixels and labels within 15 %; an image of a batch costs no more than a single one;
* mean |dQ| to exact mean-field, over images, at most 5 % above pydensecrf's with any parameters, 2 % on average;
* a training step through 5 iterations at 128x128x21 <= 3x the forward pass alone, as the layer runs it.

The last part reports what the CRF does to the labels of a trained DeepLab on three annotated photographs.

The photographs are those of the test data (KERAS_VISION_TEST_DATA, default ../shared).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter, zoom

DATA = Path(os.environ.get("KERAS_VISION_TEST_DATA", Path(__file__).parents[2] / "shared"))
VOC = DATA / "data/voc_samples"
PHOTOS = ("2011_000003", "2011_000006", "2011_000025")
WIDTHS = {"avx512": 512, "avx2": 256, "plain": 128}
CLAIMS = {  # (level, threads, labels) -> at least so many times as fast
    ("avx512", 2, 21): 9, ("avx512", 2, 2): 9, ("avx512", 1, 21): 5, ("avx512", 1, 2): 5.5,
    ("avx2", 2, 21): 7, ("avx2", 2, 2): 6, ("avx2", 1, 21): 4, ("avx2", 1, 2): 3.3,
}  # fmt: skip


def photograph(number: int, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8."""
    picture = Image.open(VOC / f"JPEGImages/{PHOTOS[number]}.jpg").convert("RGB")
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR))


def scores(height: int, width: int, labels: int, seed: int = 0) -> np.ndarray:
    """Logits as a network of stride 8 gives them: random at an eighth of the size, smooth, enlarged bilinearly."""
    coarse = np.random.default_rng(seed).normal(size=(height // 8 + 1, width // 8 + 1, labels))
    coarse = gaussian_filter(coarse, (2, 2, 0)) * 25
    factors = (height / coarse.shape[0], width / coarse.shape[1], 1)
    return np.ascontiguousarray(zoom(coarse, factors, order=1)[:height, :width], np.float32)


def peer(logits: np.ndarray, image: np.ndarray, kernels: tuple = ((3, 3, None), (10, 80, 13))) -> np.ndarray:
    """pydensecrf's marginals, (h, w, labels)."""
    from pydensecrf.densecrf import DenseCRF2D

    height, width, labels = logits.shape
    logits = logits - logits.max(-1, keepdims=True)
    unary = np.log(np.exp(logits).sum(-1, keepdims=True)) - logits
    crf = DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(unary.reshape(-1, labels).T))
    for weight, position, colour in kernels:
        if colour is None:
            crf.addPairwiseGaussian(sxy=position, compat=weight)
        else:
            crf.addPairwiseBilateral(sxy=position, srgb=colour, rgbim=np.ascontiguousarray(image), compat=weight)
    return np.array(crf.inference(10)).reshape(labels, height, width).transpose(1, 2, 0)


def ours(logits: np.ndarray, image: np.ndarray, level: str = "best") -> Callable[[], np.ndarray]:
    """Our call on tensors that exist already; adds the batch axis where there is none."""
    import tensorflow as tf

    import keras_vision as kv

    if logits.ndim == 3:
        logits, image = logits[None], image[None]
    eager, picture = tf.constant(logits), tf.constant(image, tf.float32)
    return lambda: kv.ops.dense_crf(eager, picture, level=level).numpy()


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def against_peer(logits: np.ndarray, image: np.ndarray, level: str, rounds: int) -> tuple[float, float, float]:
    """Median seconds of ours and of pydensecrf, and the median of the rounds' ratios."""
    call = ours(logits, image, level)
    call()
    mine, its = [], []
    for _ in range(rounds):
        mine.append(statistics.median(seconds(call) for _ in range(5)))
        its.append(seconds(lambda: peer(logits, image)))
    return (
        statistics.median(mine),
        statistics.median(its),
        statistics.median(b / a for a, b in zip(mine, its, strict=True)),
    )


def processor() -> str:
    """Name of the CPU."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown CPU"


def best_level() -> str:
    """The widest instructions that this processor has."""
    flags = Path("/proc/cpuinfo").read_text()
    return "avx512" if " avx512vl" in flags else "avx2" if " avx2" in flags else "plain"


def speed(threads: int) -> None:
    """A table for one number of threads, which TensorFlow takes once a process."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    levels = [level for level in ("avx512", "avx2") if WIDTHS[level] <= WIDTHS[best_level()]]
    table = Table(title=f"500 x 375, 10 iterations, {threads} thread(s)")
    for column in ("level", "image", "labels", "ours ms", "pydensecrf ms", "ratio", "claim"):
        table.add_column(column, justify="right")
    noise = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    for level in levels:
        for name, image in (("photograph", photograph(1, 375, 500)), ("noise", noise)):
            for labels in (21, 2):
                mine, its, ratio = against_peer(scores(375, 500, labels), image, level, 7 if name != "noise" else 3)
                claim = CLAIMS[level, threads, labels] if name != "noise" else 3 if threads == 2 else None
                cells = (f"{mine * 1e3:.1f}", f"{its * 1e3:.1f}", f"{ratio:.2f}", f">= {claim}" if claim else "")
                table.add_row(level, name, str(labels), *cells)
    Console().print(table)


def scaling() -> None:
    """Time per pixel and per label over a range of either; a batch against its images one by one."""
    table = Table(title="time over pixels and labels")
    for column in ("height x width", "labels", "ms", "ns per pixel and label", "ns per pixel"):
        table.add_column(column, justify="right")
    sizes = [(265, 354), (375, 500), (530, 707), (750, 1000), (1061, 1414)]
    rows = [(*size, 21) for size in sizes] + [(375, 500, labels) for labels in (2, 8, 16, 32, 64, 151)]
    for height, width, labels in rows:
        call = ours(scores(height, width, labels), photograph(1, height, width))
        call()
        took = statistics.median(seconds(call) for _ in range(9))
        pixels = height * width
        cells = (f"{took * 1e3:.1f}", f"{took * 1e9 / pixels / labels:.2f}", f"{took * 1e9 / pixels:.1f}")
        table.add_row(f"{height} x {width}", str(labels), *cells)
    Console().print(table)

    logits = np.stack([scores(375, 500, 21, seed) for seed in range(8)])
    images = np.stack([photograph(seed % 3, 375, 500) for seed in range(8)])
    together, one_by_one = ours(logits, images), [ours(*pair) for pair in zip(logits, images, strict=True)]
    together()
    ratios = [seconds(together) / sum(seconds(call) for call in one_by_one) for _ in range(7)]
    print(f"a batch of 8 takes {statistics.median(ratios):.2f} of the time of its images one by one (<= 1)")


def exact(logits: np.ndarray, image: np.ndarray, kernels: tuple) -> np.ndarray:
    """Mean-field in float64 with every pair of pixels, symmetric normalisation."""
    height, width, labels = logits.shape
    y, x = np.mgrid[:height, :width]
    place, colours = np.stack([x, y], -1).reshape(-1, 2), image.reshape(-1, image.shape[-1]).astype(np.float64)
    message = 0
    for weight, position, colour in kernels:
        distance = ((place[:, None] - place) ** 2).sum(-1) / position**2
        if colour is not None:
            distance = distance + ((colours[:, None] - colours) ** 2).sum(-1) / colour**2
        kernel = np.exp(-distance / 2)
        scale = 1 / np.sqrt(kernel.sum(1))
        message = message + weight * kernel * scale * scale[:, None]
    flat = logits.reshape(-1, labels).astype(np.float64)

    def softmax(values: np.ndarray) -> np.ndarray:
        e = np.exp(values - values.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    marginals = softmax(flat)
    for _ in range(10):
        marginals = softmax(flat + message @ marginals)
    return marginals.reshape(logits.shape)


def accuracy(images: int = 12) -> None:
    """Distance of ours and pydensecrf's to exact mean-field on 64 x 48 images, and of one to the other on 500 x 375."""
    import keras_vision as kv

    table = Table(title=f"mean |dQ| to exact mean-field, 64 x 48, 5 labels, mean of {images} images")
    for column in ("sxy, srgb, compat; compat of sxy 3", "ours", "pydensecrf", "ratio"):
        table.add_column(column, justify="right")
    ratios = []
    for case in ((80, 13, 10, 3), (20, 13, 10, 3), (80, 13, 4, 3), (50, 8, 5, 3), (40, 20, 6, 1), (10, 30, 3, 3)):
        kernels = ((case[3], 3, None), (case[2], case[0], case[1]))
        used = (kv.ops.Gaussian(case[3], 3), kv.ops.Bilateral(case[2], case[0], case[1]))
        errors = []
        for seed in range(images):
            rng = np.random.default_rng(seed)
            image = photograph(seed % 3, 48, 64)
            smooth = gaussian_filter(rng.normal(size=(48, 64, 5)), (3, 3, 0)) * 12
            logits = (smooth + rng.normal(size=(48, 64, 5)) / 2).astype(np.float32)
            right = exact(logits, image, kernels)
            mine = kv.ops.dense_crf(logits[None], image[None], kernels=used).numpy()[0]
            errors.append((np.abs(mine - right).mean(), np.abs(peer(logits, image, kernels) - right).mean()))
        mine, its = np.mean(errors, 0)
        ratios.append(mine / its)
        table.add_row(str(case), f"{mine:.2e}", f"{its:.2e}", f"{mine / its:.3f}")
    Console().print(table)
    print(f"mean ratio {np.mean(ratios):.3f} (<= 1.02), largest {max(ratios):.3f} (<= 1.05)")
    for number in range(3):
        logits, image = scores(375, 500, 21, number), photograph(number, 375, 500)
        mine, its = ours(logits, image)()[0], peer(logits, image)
        same = (mine.argmax(-1) == its.argmax(-1)).mean()
        print(
            f"500 x 375 x 21, {PHOTOS[number]}: mean |dQ| to pydensecrf {np.abs(mine - its).mean():.1e} (<= 2e-4), "
            f"same label {same:.2%} (>= 99.5 %)"
        )


def training_step(compatibility: object, keep: bool) -> tuple[Callable[[], object], Callable[[], object]]:
    """Marginals alone, and with the gradients of logits, kernel weights and compatibility: graphs, 128 x 128 x 21."""
    import tensorflow as tf

    import keras_vision as kv

    logits, picture = tf.constant(scores(128, 128, 21)[None]), tf.constant(photograph(1, 128, 128)[None], tf.float32)
    above = tf.random.stateless_normal(logits.shape, (0, 0))
    learned = [tf.Variable([10.0, 3.0]), *([compatibility] if isinstance(compatibility, tf.Variable) else [])]

    def forward(keep: bool = False) -> tf.Tensor:
        options = dict(kernel_weights=learned[0], compatibility=compatibility, iterations=5)
        return kv.ops.dense_crf(logits, picture, keep=keep, **options)

    @tf.function
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            marginals = forward(keep)
        return tape.gradient(marginals, [logits, *learned], above)

    return tf.function(forward), step


def gradient() -> None:
    """A training step against the forward pass alone, in turns."""
    import tensorflow as tf

    import keras_vision as kv

    table = Table(title="training step through 5 iterations, 128 x 128, 21 labels")
    for column in ("compatibility", "marginals", "forward ms", "step ms", "ratio", "claim"):
        table.add_column(column, justify="right")
    matrix = tf.Variable(kv.ops.Potts().matrix(21))
    for name, compatibility in (("Potts", kv.ops.Potts()), ("learned matrix", matrix)):
        for keep in (True, False):
            forward, step = training_step(compatibility, keep)
            forward(), step()
            pairs = np.array([(seconds(forward), seconds(step)) for _ in range(100)])
            alone, whole = np.median(pairs, 0) * 1e3
            cells = (f"{alone:.2f}", f"{whole:.2f}", f"{np.median(pairs[:, 1] / pairs[:, 0]):.2f}")
            table.add_row(name, "kept" if keep else "computed again", *cells, "<= 3" if keep else "")
    Console().print(table)


def voc() -> None:
    """Pixel accuracy and mean IU of a DeepLab v3 (MobileNet v2) before and after the CRF, at the photographs' size."""
    from ai_edge_litert.interpreter import Interpreter

    import keras_vision as kv

    network = Interpreter(str(DATA / "weights/deeplabv3_mobilenetv2_voc_float.tflite"))
    network.allocate_tensors()
    settings = {"network alone": (), "authors' w1 10, 80, 13; w2 3, 3": (kv.ops.Bilateral(), kv.ops.Gaussian())}
    for w1, alpha, beta in ((5, 50, 3), (5, 50, 10), (4, 60, 5)):
        settings[f"w1 {w1}, {alpha}, {beta}; w2 3, 3"] = (kv.ops.Bilateral(w1, alpha, beta), kv.ops.Gaussian())
    counts = {name: np.zeros((21, 21), np.int64) for name in settings}
    for name in PHOTOS:
        picture = Image.open(VOC / f"JPEGImages/{name}.jpg").convert("RGB")
        truth = np.array(Image.open(VOC / f"SegmentationClass/{name}.png"))
        small = np.asarray(picture.resize((257, 257), Image.Resampling.BILINEAR), np.float32) / 127.5 - 1
        network.set_tensor(network.get_input_details()[0]["index"], small[None])
        network.invoke()
        logits = network.get_tensor(network.get_output_details()[0]["index"])[0]
        logits = zoom(logits, (truth.shape[0] / 257, truth.shape[1] / 257, 1), order=1).astype(np.float32)
        for setting, kernels in settings.items():
            marginals = kv.ops.dense_crf(logits[None], np.array(picture)[None], kernels=kernels).numpy()[0]
            known = truth != 255
            np.add.at(counts[setting], (truth[known], marginals.argmax(-1)[known]), 1)
    table = Table(title="DeepLab v3 on the annotated photographs, void pixels left out")
    for column in ("kernels (weight, theta_alpha, theta_beta; weight, theta_gamma)", "pixel accuracy", "mean IU"):
        table.add_column(column, justify="right")
    for setting, count in counts.items():
        union = count.sum(0) + count.sum(1) - np.diag(count)
        present = count.sum(1) > 0  # mean over the labels that occur in the annotations
        mean_iu = (np.diag(count)[present] / union[present]).mean()
        table.add_row(setting, f"{np.trace(count) / count.sum():.3f}", f"{mean_iu:.3f}")
    Console().print(table)


def main() -> None:
    """Runs one part, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("speed", "scaling", "accuracy", "gradient", "voc"))
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads:
        return speed(given.threads)
    level = best_level()
    print(f"{processor()}: {level}, vectors of {WIDTHS[level]} bits; {os.cpu_count()} cores", flush=True)
    if given.part in (None, "speed"):
        for threads in (2, 1):
            subprocess.run([sys.executable, __file__, "--threads", str(threads)], check=True)
    if given.part in (None, "scaling"):
        scaling()
    if given.part in (None, "accuracy"):
        accuracy()
    if given.part in (None, "gradient"):
        gradient()
    if given.part in (None, "voc"):
        voc()


if __name__ == "__main__":
    main()

"""The pictures of docs/gallery.md: what models say of scikit-learn's and scikit-image's samples.

    python docs/gallery.py [NAME ...] [--out docs/images]

A tool, not part of the package. Each function below makes the picture of its name, with the public API. It needs the
extras [proposals] and [analytics], and `explore_page` Chromium and Playwright (extra [test]). The models are those of
savedmodels/; `methods` downloads SqueezeNet's weights. The files are PNG with a palette, at most 800 pixels wide and
300 kB.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage import data as samples
from sklearn.datasets import load_sample_image

import keras_vision as kv

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "savedmodels"
WIDTH, GAP, LARGEST = 800, 4, 300_000  # pixels, pixels, bytes
PART = 60, 20, 360, 220  # left, top, right, bottom of what `segmentation` shows larger, in pixels
INK, RIGHT, WRONG = (40, 40, 40), (0, 110, 60), (190, 30, 30)


def classification() -> Image.Image:
    """A held-out digit of each class, and all that the committed SqueezeNet mistakes, with its confidence."""
    predictor = kv.runtime.Predictor(MODELS / "squeezenet-digits" / "model.tflite")
    _, test = kv.data.digits().split(0.2, seed=0)  # as it was trained
    probabilities = predictor.predict(test.sources)
    says = probabilities.argmax(1)
    mistakes = np.flatnonzero(says != test.labels)
    print(f"{1 - len(mistakes) / len(test):.1%} of {len(test)} held-out digits are right")
    first = [np.flatnonzero((test.labels == k) & (says == k))[0] for k in range(10)]
    cells = []
    for number in [*first, *mistakes]:
        sure, right = probabilities[number].max(), says[number] == test.labels[number]
        words = f"{says[number]}: {sure:.1%}" + ("" if right else f", is {test.labels[number]}")
        cells.append(captioned(enlarged(test.sources[number], 96), words, RIGHT if right else WRONG))
    return table(cells, columns=7)


def evidence() -> Image.Image:
    """Photographs, and the pixels that raise the strongest channel of the edge detector's last map."""
    model = kv.load_model(MODELS / "hed-squeezenet-bsds" / "model.keras")
    photographs = [samples.astronaut()[:300, 80:380], samples.coffee()[60:360, 130:430]]
    batch = np.stack([model.preprocessing.normalize(each.astype(np.float32)) for each in photographs])
    gradients = kv.visualization.guided_backpropagation(model, batch, layer="fire9")
    guided = [kv.visualization.gradient_picture(each) for each in gradients]
    return side_by_side([Image.fromarray(photographs[0]), guided[0], Image.fromarray(photographs[1]), guided[1]])


def methods() -> Image.Image:
    """A photograph, and what SqueezeNet's best class for it depends on by each of the five methods."""
    model = kv.create_model("SqueezeNet", weights="imagenet")
    seen = model.preprocessing.pixels(Image.fromarray(samples.chelsea()))
    batch = model.preprocessing.normalize(seen)[None]
    probabilities = np.asarray(model(batch))[0]
    best = int(probabilities.argmax())
    print(f"class {best}: {probabilities[best]:.1%}")
    pictures = {"photograph": Image.fromarray(seen)}
    for name, layer in {"saliency": None, "deconvnet": "conv10", "guided_backpropagation": None}.items():
        gradient = getattr(kv.visualization, name)(model, batch, best, layer)[0, :, :, ::-1]  # of BGR
        pictures[name.replace("_", " ")] = kv.visualization.gradient_picture(gradient)
    pictures["Grad-CAM"] = kv.visualization.heat_picture(seen, kv.visualization.grad_cam(model, batch, best)[0])
    square = dict(window=40, stride=11)
    found = kv.visualization.occlusion(model, batch, best, **square)[0]
    print(f"occlusion: from {found.min():.1%} to {found.max():.1%}")
    pictures["occlusion"] = kv.visualization.occlusion_picture(seen, found, **square)
    side = (WIDTH + GAP) // 3 - GAP
    cells = [
        captioned(each.resize((side, side), Image.Resampling.LANCZOS), name, INK) for name, each in pictures.items()
    ]
    return table(cells, columns=3)


def segmentation() -> Image.Image:
    """A photograph, its classes by the committed FCN-8s, and the same refined by the CRF that was fitted to it."""
    photograph = Image.fromarray(load_sample_image("china.jpg"))
    network = kv.runtime.DensePredictor(MODELS / "fcn-8s-camvid" / "model.tflite")
    probabilities = network.predict(photograph)
    kernels = kv.ops.Bilateral(weight=4, theta_alpha=20, theta_beta=3), kv.ops.Gaussian(weight=1, theta_gamma=1)
    refined = np.asarray(
        kv.ops.dense_crf(probabilities[None], np.asarray(photograph)[None], kernels=kernels, from_probabilities=True)
    )[0]
    found = [maps.argmax(-1) for maps in (probabilities, refined)]
    print(f"the CRF changes the class of {np.mean(found[0] != found[1]):.1%} of the pixels")
    seen = [k for k in range(len(network.labels)) if max(np.mean(labels == k) for labels in found) > 0.005]
    drawn = [kv.visualization.overlay(photograph, labels, kv.data.CAMVID_PALETTE, alpha=0.6) for labels in found]
    pictures = [photograph, *drawn]
    parts = [each.crop(PART) for each in pictures]
    key = legend([network.labels[k] for k in seen], kv.data.CAMVID_PALETTE[seen])
    return stacked([side_by_side(pictures), side_by_side(parts), key])


def edges() -> Image.Image:
    """A photograph, its edges by the committed HED, the strengths of the borders they imply, and regions."""
    photograph = Image.fromarray(samples.chelsea())
    detector = kv.runtime.DensePredictor(MODELS / "hed-squeezenet-bsds" / "model.tflite")
    probabilities = detector.predict(photograph)[..., 0]
    labels = kv.proposals.segment(kv.proposals.ultrametric_contour_map(probabilities), 0.45)
    regions = np.arange(1, labels.max() + 1)
    print(f"{labels.max()} regions")
    means = [ndimage.mean(channel, labels, regions) for channel in np.moveaxis(np.asarray(photograph), 2, 0)]
    painted = Image.fromarray(np.transpose(means)[labels - 1].astype(np.uint8))
    return side_by_side([photograph, Image.fromarray(np.uint8(255 * (1 - probabilities))), painted])


def drawing() -> Image.Image:
    """New digits by the committed DRAW, each drawn from left to right; red is the window that is written through."""
    generator = kv.runtime.Generator(MODELS / "draw-mnist" / "model.tflite")
    canvases, windows = generator.generate(6, seed=0)
    frames = kv.visualization.drawing_frames(canvases, windows, generator.patch, columns=1, enlarge=2)
    frames.append(kv.visualization.grid(canvases[:, -1], columns=1, enlarge=2))
    width = (WIDTH + GAP) // len(frames) - GAP
    size = width, frames[0].height * width // frames[0].width
    return table([frame.resize(size, Image.Resampling.LANCZOS) for frame in frames], len(frames))


def explore_page() -> Image.Image:
    """The page of `keras-vision explore` of 160 crops of eight photographs, in a browser, with one image picked."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        page = _written_page(Path(temporary))
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 720})
        tab.goto(page.as_uri())
        while tab.evaluate("painted < 0"):
            tab.wait_for_timeout(50)
        tab.click("[data-layout=grid]")
        tab.evaluate("pick(3)")
        tab.wait_for_timeout(2000)  # thumbnails are decoded while one looks
        shot = tab.screenshot()
        browser.close()
    return Image.open(io.BytesIO(shot)).convert("RGB").resize((WIDTH, 480), Image.Resampling.LANCZOS)


PICTURES: dict[str, Callable[[], Image.Image]] = {
    each.__name__: each for each in (classification, evidence, methods, segmentation, edges, drawing, explore_page)
}


def _written_page(folder: Path) -> Path:
    """Crops of photographs, a class each, explored by the trunk of the committed edge detector."""
    photographs = {name: getattr(samples, name)() for name in ("astronaut", "brick", "coffee", "grass", "gravel")}
    photographs |= {"cat": samples.chelsea(), "rocket": samples.rocket(), "temple": load_sample_image("china.jpg")}
    rng = np.random.default_rng(0)
    for name, photograph in sorted(photographs.items()):
        (folder / "crops" / name).mkdir(parents=True)
        for number in range(20):
            y, x = rng.integers(0, np.array(photograph.shape[:2]) - 128)
            crop = Image.fromarray(photograph[y : y + 128, x : x + 128])
            crop.save(folder / "crops" / name / f"{number:02}.png")
    network = kv.load_model(MODELS / "hed-squeezenet-bsds" / "model.keras")
    last = [name for name in kv.taps(network) if name.startswith("fire")][-1]
    embedder = kv.analytics.ImageEmbedder(network, layer=last, backend="keras", cache=False).fit()
    found = embedder.embed(list(kv.analytics.walk_images([folder / "crops"])))
    labels = [kv.analytics.label_of(path, folder / "crops") for path in found.paths]
    result = kv.analytics.explore(found, labels, folder / "crops")
    print(f"classification accuracy {result.scores.ca:.1%}")
    data = kv.analytics.page_data(result, "crops", embedder.network_name)
    kv.analytics.write_page(folder / "crops.html", data, kv.analytics.thumbnails(found.paths, 96))
    return folder / "crops.html"


def enlarged(pixels: np.ndarray, side: int) -> Image.Image:
    """A digit `(8, 8)`, larger and smoothed as the network gets it."""
    return Image.fromarray(pixels).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)


def captioned(picture: Image.Image, words: str, colour: tuple[int, int, int]) -> Image.Image:
    """A picture with a line of words below."""
    sheet = Image.new("RGB", (max(110, picture.width), picture.height + 24), "white")
    sheet.paste(picture, ((sheet.width - picture.width) // 2, 0))
    place = sheet.width / 2, picture.height + 4
    ImageDraw.Draw(sheet).text(place, words, colour, ImageFont.load_default(14), anchor="ma")
    return sheet


def legend(names: Sequence[str], colours: np.ndarray) -> Image.Image:
    """One line of colours and their names."""
    font, left = ImageFont.load_default(14), 0.0
    sheet = Image.new("RGB", (WIDTH, 22), "white")
    draw = ImageDraw.Draw(sheet)
    for name, colour in zip(names, colours, strict=True):
        draw.rectangle((left, 4, left + 18, 17), tuple(map(int, colour)))
        draw.text((left + 24, 3), name, INK, font)
        left += 44 + font.getlength(name)
    return sheet


def table(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows."""
    width, height = cells[0].size
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP), "white")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % columns * (width + GAP), number // columns * (height + GAP)))
    return sheet


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size in one row that is `WIDTH` wide."""
    width = (WIDTH + GAP) // len(pictures) - GAP
    size = width, round(width * pictures[0].height / pictures[0].width)
    return table([each.convert("RGB").resize(size, Image.Resampling.LANCZOS) for each in pictures], len(pictures))


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures one below the other, on white."""
    sheet = Image.new("RGB", (WIDTH, sum(each.height + GAP for each in pictures) - GAP), "white")
    top = 0
    for each in pictures:
        sheet.paste(each, (0, top))
        top += each.height + GAP
    return sheet


def main() -> None:
    """Makes the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; all if none is given")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - set(PICTURES)):
        parser.error(f"{', '.join(unknown)}: no such picture; there are {', '.join(PICTURES)}")
    for name in given.names or PICTURES:
        picture, path = PICTURES[name](), given.out / f"{name}.png"
        paletted = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.FLOYDSTEINBERG)
        paletted.save(path, optimize=True)
        size = path.stat().st_size
        print(f"{path}: {picture.width} x {picture.height}, {size:,} bytes")
        if picture.width > WIDTH or size > LARGEST:
            raise SystemExit(f"{path} is larger than {WIDTH} pixels or {LARGEST:,} bytes")


if __name__ == "__main__":
    main()

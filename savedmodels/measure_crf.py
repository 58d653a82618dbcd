"""Fits a fully-connected CRF to a committed segmenter and puts what it changes into manifest.json.

    python savedmodels/measure_crf.py NAME TRAINING_DATA [--images 40]

The kernels are fitted on the data's validation images (DeepLab, section 5), then measured once on its test images:
FCN's four scores with and without the CRF, and the mean IU within some pixels of objects' borders (Figure 5).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import track

from keras_vision.data import SegmentedImages
from keras_vision.evaluation import segmentation_scores, trimap_curve
from keras_vision.files import whole_file
from keras_vision.ops import Gaussian, dense_crf, fit_dense_crf
from keras_vision.runtime import DensePredictor, open_image
from keras_vision.training.recipes.dense_data import dense_parts

FOLDER = Path(__file__).parent
MANIFEST = FOLDER / "manifest.json"
# Half of the paper's ranges and below: scenes of 480 x 360 hold smaller objects than PASCAL VOC's photographs.
WEIGHTS, ALPHAS, BETAS = (1, 3, 5), (10, 30, 50), (3, 6, 9)
GAUSSIANS = (Gaussian(weight=1, theta_gamma=1), Gaussian(weight=1, theta_gamma=3))
WIDTHS = (1, 2, 4, 8, 16, 32)


def main() -> None:
    """Fits, measures, and writes the manifest last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=40, help="validation images to fit on")
    given = parser.parse_args()
    predictor = DensePredictor(FOLDER / given.name / "model.tflite")
    parts = dense_parts("segmentation", given.data)
    held_out = parts.validation
    pixels, probabilities, masks = zip(*examples(predictor, held_out, given.images), strict=True)
    ranges = dict(weights=WEIGHTS, theta_alphas=ALPHAS, theta_betas=BETAS)
    options = dict(void=held_out.void, from_probabilities=True, max_images=given.images)
    fits = [fit_dense_crf(probabilities, pixels, masks, gaussian=each, **ranges, **options) for each in GAUSSIANS]
    fit = max(fits, key=lambda each: each.score)
    print(fit.kernels, f"validation mean IU {fit.unary_score:.4f} -> {fit.score:.4f}")
    without, refined = [], []
    for number in track(range(len(parts.test)), "Test images"):
        image = open_image(parts.test.sources[number])
        maps = predictor.predict(image)
        without.append(maps.argmax(-1).astype(np.uint8))
        marginals = dense_crf(maps[None], np.asarray(image)[None], kernels=fit.kernels, from_probabilities=True)
        refined.append(np.asarray(marginals)[0].argmax(-1).astype(np.uint8))
    outcome = {
        "kernels": [repr(kernel) for kernel in fit.kernels],
        "validation_mean_iu": [fit.unary_score, fit.score],
        "test": [_scores(parts.test, maps) for maps in (without, refined)],
    }
    for line in outcome["test"]:
        print(line)
    known = json.loads(MANIFEST.read_text())
    known[given.name]["crf"] = outcome
    with whole_file(MANIFEST, overwrite=True) as temporary:
        temporary.write_text(json.dumps(known, indent=1) + "\n")


def examples(
    predictor: DensePredictor, images: SegmentedImages, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pixels, probabilities and mask of images spread over a data set."""
    for number in np.unique(np.linspace(0, len(images) - 1, count).round().astype(int)):
        image = open_image(images.sources[number])
        yield np.asarray(image), predictor.predict(image), images.mask(number)


def _scores(images: SegmentedImages, maps: list[np.ndarray]) -> dict:
    scores = segmentation_scores(images, maps).to_dict()
    curve = trimap_curve(images, maps, WIDTHS, around="boundaries")
    return {**scores, "trimap": dict(zip(map(str, WIDTHS), map(float, curve.mean_iu), strict=True))}


if __name__ == "__main__":
    main()

"""pydensecrf's own example, on pydensecrf and on the module in its place."""

from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

EXAMPLES = (("im1", "anno1"), ("im1", "anno1-b"), ("im2", "anno2"), ("im3", "anno3"))


def example(shared: Path, photograph: str, annotation: str, scale: float = 1) -> tuple[np.ndarray, np.ndarray, int]:
    """A photograph (h, w, 3), its labels (h, w) with 0 for unknown, and how many labels there are."""
    folder = shared / "data/crf_examples"
    image, colours = (Image.open(folder / f"{name}.png").convert("RGB") for name in (photograph, annotation))
    size = round(image.width * scale), round(image.height * scale)
    image, colours = image.resize(size), colours.resize(size, Image.Resampling.NEAREST)
    codes = np.array(colours).astype(int) @ (1 << 16, 1 << 8, 1)
    found = np.unique(codes[codes > 0])  # black is unknown
    return np.array(image), np.searchsorted(found, codes) + (codes > 0), len(found)


def crf_2d(module: ModuleType, unary: np.ndarray, image: np.ndarray, normalization: int = 3, compat=(3, 10), **kernels):
    """A DenseCRF2D with pydensecrf's example of pairwise terms."""
    height, width = image.shape[:2]
    crf = module.DenseCRF2D(width, height, len(unary))
    crf.setUnaryEnergy(unary)
    crf.addPairwiseGaussian(
        sxy=kernels.get("sxy", (3, 3)), compat=compat[0], kernel=module.DIAG_KERNEL, normalization=normalization
    )
    crf.addPairwiseBilateral(
        sxy=(80, 80),
        srgb=kernels.get("srgb", (13, 13, 13)),
        rgbim=image,
        compat=compat[1],
        kernel=module.DIAG_KERNEL,
        normalization=normalization,
    )
    return crf


def crf_of_features(module: ModuleType, unary: np.ndarray, features: list[np.ndarray], compat, normalization: int = 3):
    """A DenseCRF over points with one pairwise term for each array of features."""
    crf = module.DenseCRF(unary.shape[1], len(unary))
    crf.setUnaryEnergy(unary)
    for feature, penalty in zip(features, compat, strict=True):
        crf.addPairwiseEnergy(feature, penalty, module.DIAG_KERNEL, normalization)
    return crf


def marginals(crf, iterations: int) -> np.ndarray:
    return np.array(crf.inference(iterations))


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the pixels with the same label."""
    return float((one.argmax(0) == other.argmax(0)).mean())

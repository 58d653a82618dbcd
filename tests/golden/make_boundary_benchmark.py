"""Writes boundary_benchmark.npz: what the published code of the boundary benchmark computes, for maps made by numpy.

pyEdgeEval carries the benchmark's C++ matching and the suppression of the structured edges toolbox. In an environment
of its own: `pip install pyedgeeval==0.2.8 "numpy<2.4" scipy opencv-python-headless`, then
`python tests/golden/make_boundary_benchmark.py`.
"""

from pathlib import Path

import numpy as np
from pyEdgeEval._lib.correspond_pixels import correspond_pixels
from pyEdgeEval._lib.nms import nms
from pyEdgeEval.preprocess.thin.bwmorph_thin import bwmorph_thin
from scipy import ndimage

FILE = Path(__file__).with_name("boundary_benchmark.npz")
SUPPRESSIONS = ((1, 5, 1.01, 0), (2, 5, 1.01, 1), (3, 0, 1.2, 0))  # radius, border, multiplier, smoothing


def triangle(values: np.ndarray, radius: int) -> np.ndarray:
    """convTri of the toolbox, with its own weights for a radius of 1."""
    if radius == 0:
        return values
    weights = np.array([1, 2, 1]) / 4 if radius == 1 else np.convolve([1] * (radius + 1), [1] * (radius + 1))
    weights = weights / weights.sum()
    return ndimage.convolve1d(ndimage.convolve1d(values, weights, 0, mode="reflect"), weights, 1, mode="reflect")


def suppressed(strength: np.ndarray, radius: int, border: int, multiplier: float, smoothing: int) -> np.ndarray:
    """The steps of HED's evaluation script, from the map to the call of edgesNms."""
    strength = triangle(strength, smoothing)
    oy, ox = np.gradient(triangle(strength, 4))
    oxx = np.gradient(ox)[1]
    oyy, oxy = np.gradient(oy)
    return nms(strength, np.mod(np.arctan(oyy * np.sign(-oxy) / (oxx + 1e-5)), np.pi), radius, border, multiplier)


def golden() -> dict[str, np.ndarray]:
    found: dict[str, list] = {"strength": [], "thin": [], "people": [], "pairs": [], "right": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        strength = ndimage.gaussian_filter(rng.normal(size=(90, 120)), 1.5 + seed / 2)
        strength = np.round((strength - strength.min()) / np.ptp(strength), 3)
        thin = bwmorph_thin(strength > 0.55).astype(bool)
        moved = (ndimage.shift(strength, rng.normal(0, 1.5, 2), order=1, mode="nearest") for _ in range(4))
        people = np.stack([bwmorph_thin(each > rng.uniform(0.5, 0.62)).astype(bool) for each in moved])
        matches = [correspond_pixels(thin, person, 0.0155)[0] > 0 for person in people]
        found["strength"].append(strength.astype(np.float32))
        found["thin"].append(thin)
        found["people"].append(people)
        found["pairs"].append([match.sum() for match in matches])
        found["right"].append(np.logical_or.reduce(matches).sum())
    kept = [[suppressed(s.astype(np.float64), *each) for each in SUPPRESSIONS] for s in found["strength"]]
    return {**{name: np.array(values) for name, values in found.items()}, "kept": np.array(kept, np.float32)}


if __name__ == "__main__":
    np.savez_compressed(FILE, **golden())

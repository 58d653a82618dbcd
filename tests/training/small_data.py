"""Small data sets on disk, in the layouts that recipes read."""

import numpy as np
from PIL import Image


def class_folders(folder, training=20, validation=5, size=32):
    """Two classes, dark and bright noise, in train/ and val/."""
    rng = np.random.default_rng(0)
    for part, count in (("train", training), ("val", validation)):
        for bright, name in enumerate(("dark", "light")):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 128, (size, size, 3)) + 120 * bright
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{number}.png")
    return folder


def names_only(folder, training, validation=10):
    """Files that are named like images, for what reads none of them."""
    for part, count in (("train", training), ("val", validation)):
        for name in ("a", "b"):
            (folder / part / name).mkdir(parents=True)
            for number in range(count // 2):
                (folder / part / name / f"{number}.jpg").touch()
    return folder

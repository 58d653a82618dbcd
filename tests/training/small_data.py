"""Small data sets on disk, in the layouts that recipes read."""

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.ndimage import binary_erosion


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


def half_scenes(folder, size=(40, 56)):
    """CamVid's layout: sky above, road below the middle, a bar of void between."""
    rng = np.random.default_rng(0)
    height = size[0]
    for part, count in dict(train=6, val=2, test=3).items():
        for name in ("images", "masks"):
            (folder / part / name).mkdir(parents=True)
        for number in range(count):
            middle = int(rng.integers(height // 4, 3 * height // 4))
            mask = np.full(size, 3, np.uint8)
            mask[:middle] = 0
            mask[middle - 1 : middle + 1] = 11
            pixels = np.where((mask == 0)[..., None], (90, 140, 220), (60, 60, 60)) + rng.integers(-20, 21, (*size, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / part / "images" / f"{number}.png")
            Image.fromarray(mask).save(folder / part / "masks" / f"{number}.png")
    return folder


def squares(folder, size=(48, 64)):
    """BSDS500's layout: a bright square, whose outline three people drew and a fourth did not."""
    rng = np.random.default_rng(0)
    for part, count in dict(train=4, val=2, test=2).items():
        for name in ("images", "groundTruth"):
            (folder / name / part).mkdir(parents=True)
        for number in range(count):
            top, left = (int(rng.integers(4, side - 28)) for side in size)
            inside = np.zeros(size, bool)
            inside[top : top + 24, left : left + 24] = True
            outline = inside & ~binary_erosion(inside)
            pixels = np.where(inside[..., None], 210, 50) + rng.integers(-15, 16, (*size, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / part / f"{number}.jpg", quality=95)
            people = np.empty((1, 4), object)
            drawn = [outline, outline, outline, np.zeros_like(outline)]
            people[0, :] = [{"Segmentation": inside + np.uint16(1), "Boundaries": d.astype(np.uint8)} for d in drawn]
            savemat(folder / "groundTruth" / part / f"{number}.mat", {"groundTruth": people})
    return folder

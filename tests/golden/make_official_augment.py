"""Writes official_augment.npz: outputs of tf-models-official's image operations for an image made by numpy from a seed.

Needs tf-models-official 2.20, which the tests do not: in an environment of Python 3.11 or 3.12, `pip install
"tf-models-official==2.20.*"`, then `python tests/golden/make_official_augment.py`.
"""

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("official_augment.npz")


def image() -> np.ndarray:
    """A smooth picture with noise, uint8 `(24, 30, 3)`, whose channels have different ranges."""
    y, x = np.mgrid[:24, :30]
    waves = np.stack([np.sin(x / 5) * np.cos(y / 7), np.cos((x + y) / 6), np.sin(y / 4)], -1)
    noise = np.random.default_rng(0).normal(0, 8, waves.shape)
    return np.clip(130 + waves * (110, 70, 40) + noise, 0, 255).astype(np.uint8)


CALLS = {  # name in the file: operation, arguments
    "autocontrast": ("autocontrast", ()),
    "equalize": ("equalize", ()),
    "invert": ("invert", ()),
    "posterize_3": ("posterize", (3,)),
    "solarize_100": ("solarize", (100,)),
    "color_0.3": ("color", (0.3,)),
    "color_1.7": ("color", (1.7,)),
    "contrast_0.4": ("contrast", (0.4,)),
    "contrast_1.6": ("contrast", (1.6,)),
    "brightness_1.3": ("brightness", (1.3,)),
    "sharpness_0.2": ("sharpness", (0.2,)),
    "sharpness_1.8": ("sharpness", (1.8,)),
    "rotate_17": ("wrapped_rotate", (17.0, [128] * 3)),
    "shear_x_0.2": ("shear_x", (0.2, [128] * 3)),
    "shear_y_-0.2": ("shear_y", (-0.2, [128] * 3)),
    "translate_x_5": ("translate_x", (5.0, [128] * 3)),
    "translate_y_-4": ("translate_y", (-4.0, [128] * 3)),
    "cutout_3_at_10_1": ("_fill_rectangle", (1, 10, 3, 3, 128)),  # x, y, half the width and height
    "cutout_3_at_22_20": ("_fill_rectangle", (20, 22, 3, 3, 128)),
}


def main() -> None:
    """Replaces the file."""
    import tensorflow as tf
    from official.vision.ops import augment

    pixels = tf.constant(image())
    np.savez_compressed(
        FILE, **{name: getattr(augment, op)(pixels, *given).numpy() for name, (op, given) in CALLS.items()}
    )
    print(FILE, FILE.stat().st_size)


if __name__ == "__main__":
    main()

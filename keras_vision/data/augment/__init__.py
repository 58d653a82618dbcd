"""Random changes of training images: which part is shown (geometry), and in which colours (photometric).

Ready-made ones, by paper: `inception`, `vgg`, `alexnet`, `fcn`, `cifar`, `segmentation`; `evaluation` changes nothing.
Every name is imported on first use (PEP 562). docs/regularisation.md lists where each published method is.
"""

from typing import TYPE_CHECKING

from keras_vision.lazy import on_first_use

if TYPE_CHECKING:
    from keras_vision.data.augment.geometry import (
        AreaCrop,
        CentreCrop,
        CentrePatchCrop,
        PaddedCrop,
        ScaleAndCrop,
        ScaleJitter,
        Translation,
    )
    from keras_vision.data.augment.keras_layers import keras_batch, keras_photometric
    from keras_vision.data.augment.photometric import ColorDistortion, Cutout, HideAndSeek, PCAColor
    from keras_vision.data.augment.policies import auto_augment, rand_augment
    from keras_vision.data.augment.presets import alexnet, cifar, evaluation, fcn, inception, segmentation, vgg
    from keras_vision.data.augment.window import Augmentation, Window, show, show_mask

__all__ = [
    "AreaCrop",
    "Augmentation",
    "CentreCrop",
    "CentrePatchCrop",
    "ColorDistortion",
    "Cutout",
    "HideAndSeek",
    "PCAColor",
    "PaddedCrop",
    "ScaleAndCrop",
    "ScaleJitter",
    "Translation",
    "Window",
    "alexnet",
    "auto_augment",
    "cifar",
    "evaluation",
    "fcn",
    "inception",
    "keras_batch",
    "keras_photometric",
    "rand_augment",
    "segmentation",
    "show",
    "show_mask",
    "vgg",
]

_HOMES = {  # module -> the public names it has
    "geometry": (
        "AreaCrop",
        "CentreCrop",
        "CentrePatchCrop",
        "PaddedCrop",
        "ScaleAndCrop",
        "ScaleJitter",
        "Translation",
    ),
    "keras_layers": ("keras_batch", "keras_photometric"),
    "photometric": ("ColorDistortion", "Cutout", "HideAndSeek", "PCAColor"),
    "policies": ("auto_augment", "rand_augment"),
    "presets": ("alexnet", "cifar", "evaluation", "fcn", "inception", "segmentation", "vgg"),
    "window": ("Augmentation", "Window", "show", "show_mask"),
}

__getattr__, __dir__ = on_first_use(__name__, {name: home for home, names in _HOMES.items() for name in names})

"""Addresses and preprocessing that the weight files of Keras Applications and torchvision have in common."""

from __future__ import annotations

from typing import Any

from keras_vision.registry import WeightsFile
from keras_vision.runtime.preprocessing import Preprocessing

CAFFE = Preprocessing((224, 224), resize_shorter=256, color="BGR", mean=(103.939, 116.779, 123.68))
TORCH = Preprocessing((224, 224), resize_shorter=256, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def keras_file(
    folder: str,
    md5: str,
    preprocessing: Preprocessing,
    *,
    model: str = "",
    part: str = "",
    source: str = "ImageNet, Keras Applications",
    licence: str = "MIT (Keras Applications); ImageNet terms",
) -> WeightsFile:
    """A file of Keras Applications, named after its folder there or after one `model` of several in it.

    `part` is "_notop" for the trunk alone.
    """
    file = f"{model or folder}_weights_tf_dim_ordering_tf_kernels{part}.h5"
    return WeightsFile(
        name=f"imagenet{part}",
        file=file,
        url=f"https://storage.googleapis.com/tensorflow/keras-applications/{folder}/{file}",
        hash=f"md5:{md5}",
        classes=1000,
        preprocessing=preprocessing,
        source=source,
        licence=licence,
    )


def torchvision_file(name: str, file: str, preprocessing: Preprocessing = TORCH, **settings: Any) -> WeightsFile:
    """A file of torchvision, whose name ends in the first digits of its hash; `settings` are its network's own."""
    return WeightsFile(
        name=name,
        file=file,
        url=f"https://download.pytorch.org/models/{file}",
        hash=f"sha256:{file.partition('-')[2].partition('.')[0]}",
        classes=1000,
        preprocessing=preprocessing,
        source="ImageNet, torchvision",
        licence="BSD-3-Clause (torchvision); ImageNet terms",
        settings=settings,
    )

"""Addresses and preprocessing that the weight files of Keras Applications, torchvision and Caffe have in common."""

from __future__ import annotations

from typing import Any

from keras_vision.registry import WeightsFile
from keras_vision.runtime.preprocessing import Preprocessing

CAFFE = Preprocessing((224, 224), resize_shorter=256, color="BGR", mean=(103.939, 116.779, 123.68))
BVLC = Preprocessing((224, 224), resize_shorter=256, color="BGR", mean=(104.0, 117.0, 123.0))
TF = Preprocessing((224, 224), resize_shorter=256, mean=(127.5,) * 3, std=(127.5,) * 3)
TORCH = Preprocessing((224, 224), resize_shorter=256, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def keras_file(
    folder: str,
    md5: str,
    preprocessing: Preprocessing,
    *,
    part: str = "",
    source: str = "ImageNet, Keras Applications",
    licence: str = "MIT (Keras Applications); ImageNet terms",
) -> WeightsFile:
    """A file of Keras Applications, by its folder there; `part` is "_notop" for the trunk alone."""
    file = f"{folder}_weights_tf_dim_ordering_tf_kernels{part}.h5"
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


def caffe_file(file: str, sha1: str, preprocessing: Preprocessing) -> WeightsFile:
    """A reference model of Caffe's own authors."""
    return WeightsFile(
        name="imagenet",
        file=file,
        url=f"http://dl.caffe.berkeleyvision.org/{file}",
        hash=f"sha1:{sha1}",
        classes=1000,
        preprocessing=preprocessing,
        source="ImageNet, Berkeley Vision and Learning Center",
        licence="unrestricted use (BVLC); ImageNet terms",
    )

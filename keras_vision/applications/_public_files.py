"""Addresses, preprocessing and names that the weight files of Keras Applications, torchvision and Caffe share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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


def keras_and_torch_files(
    folder: str, preprocessing: Preprocessing, model: str, md5: str, md5_notop: str, torch: str, **settings: Any
) -> tuple[WeightsFile, ...]:
    """A `model` in a folder of Keras Applications, whole and trunk, and torchvision's, whose network has `settings`."""
    return (
        keras_file(folder, md5, preprocessing, model=model),
        keras_file(folder, md5_notop, preprocessing, model=model, part="_notop"),
        torchvision_file("torchvision", torch, **settings),
    )


def name_numbered_layers(arrays: Mapping[str, np.ndarray], names: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Arrays by this package's names where Keras has numbered layers of a kind: conv2d, conv2d_1, ...

    Args:
        arrays: by "layer/variable". Layers that are not numbered keep their names.
        names: this package's layers of each kind, such as "conv2d", in the order of creation. The numbers may begin
            anywhere and leave gaps.
    """
    renamed: dict[str, str] = {}
    for kind, ours in names.items():
        numbered = {key.partition("/")[0] for key in arrays if re.fullmatch(rf"{kind}(_\d+)?/.+", key)}
        in_order = sorted(numbered, key=lambda layer: int(layer.removeprefix(kind).lstrip("_") or 0))
        renamed.update(zip(in_order, ours, strict=False))
    return {
        "/".join([renamed.get(layer, layer), variable]): array
        for (layer, _, variable), array in ((key.partition("/"), array) for key, array in arrays.items())
    }


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

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


def released_file(
    name: str, url: str, hash: str, preprocessing: Preprocessing, source: str, licence: str, file: str = "",
    **settings: Any,
) -> WeightsFile:  # fmt: skip
    """A file of ImageNet's 1000 classes that others release; its name is the end of its address, or `file`."""
    file = file or url.rpartition("/")[2]
    return WeightsFile(name, file, url, hash, 1000, preprocessing, f"ImageNet, {source}", licence, settings)


def keras_file(
    folder: str,
    md5: str,
    preprocessing: Preprocessing,
    *,
    model: str = "",
    part: str = "",
    source: str = "Keras Applications",
    licence: str = "MIT (Keras Applications); ImageNet terms",
) -> WeightsFile:
    """A file of Keras Applications, named after its folder there or after one `model` of several in it.

    `part` is "_notop" for the trunk alone.
    """
    file = f"{model or folder}_weights_tf_dim_ordering_tf_kernels{part}.h5"
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/{folder}/{file}"
    return released_file(f"imagenet{part}", url, f"md5:{md5}", preprocessing, source, licence)


def torchvision_file(name: str, file: str, preprocessing: Preprocessing = TORCH, **settings: Any) -> WeightsFile:
    """A file of torchvision, whose name ends in the first digits of its hash; `settings` are its network's own."""
    url, digits = f"https://download.pytorch.org/models/{file}", file.partition("-")[2].partition(".")[0]
    licence = "BSD-3-Clause (torchvision); ImageNet terms"
    return released_file(name, url, f"sha256:{digits}", preprocessing, "torchvision", licence, **settings)


def keras_and_torch_files(
    folder: str, preprocessing: Preprocessing, model: str, md5: str, md5_notop: str, torch: str, **settings: Any
) -> tuple[WeightsFile, ...]:
    """A `model` in a folder of Keras Applications, whole and trunk, and torchvision's, whose network has `settings`."""
    return (
        keras_file(folder, md5, preprocessing, model=model),
        keras_file(folder, md5_notop, preprocessing, model=model, part="_notop"),
        torchvision_file("torchvision", torch, **settings),
    )


def zoo_file(path: str, hash: str, preprocessing: Preprocessing, name: str = "caffe", **settings: Any) -> WeightsFile:
    """Authors' Caffe weights, of which Open Model Zoo keeps a copy; `settings` hold their licence, too."""
    folder = "https://storage.openvinotoolkit.org/repositories/open_model_zoo/public/2021.4"
    return released_file(name, f"{folder}/{path}", hash, preprocessing, "by the authors, at Open Model Zoo", **settings)


def drive_file(
    identity: str, file: str, hash: str, preprocessing: Preprocessing, licence: str, **settings: Any
) -> WeightsFile:
    """Authors' Caffe weights on their drive, which may ask before it sends them."""
    url = f"https://drive.google.com/uc?export=download&id={identity}"
    return released_file("caffe", url, hash, preprocessing, "by the authors", licence, file, **settings)


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
    by, licence = "Berkeley Vision and Learning Center", "unrestricted use (BVLC); ImageNet terms"
    return released_file(
        "imagenet", f"http://dl.caffe.berkeleyvision.org/{file}", f"sha1:{sha1}", preprocessing, by, licence
    )

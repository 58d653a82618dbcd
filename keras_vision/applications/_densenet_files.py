"""The public files of DenseNets for ImageNet, and what they call the layers of densenet.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from keras_vision.applications._public_files import (
    TORCH,
    drive_file,
    keras_and_torch_files,
    torchvision_file,
    zoo_file,
)
from keras_vision.registry import WeightsFile
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.weights import from_channels_first

AUTHORS = "BSD-3-Clause (authors); ImageNet terms"


def torch_modules(*, blocks: tuple[int, ...], **settings: Any) -> Iterator[tuple[str, str]]:
    """torchvision's module of each layer."""
    yield from (("features.conv0", "conv1_conv"), ("features.norm0", "conv1_bn"))
    for block, count in enumerate(blocks, 1):
        for number in range(1, count + 1):
            module, own = f"features.denseblock{block}.denselayer{number}", f"dense{block}_{number}"
            yield from ((f"{module}.norm1", f"{own}_1x1_bn"), (f"{module}.conv1", f"{own}_1x1"))
            yield from ((f"{module}.norm2", f"{own}_bn"), (f"{module}.conv2", own))
        module, own = f"features.transition{block}", f"transition{block}_1x1"
        yield from ((f"{module}.norm", f"{own}_bn"), (f"{module}.conv", own))
    yield from (("features.norm5", "norm_bn"), ("classifier", "fc"))


def keras_layers(blocks: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Keras Applications' name of each layer, in its files and in its models of today."""
    yield from (("conv1/conv", "conv1_conv"), ("conv1/bn", "conv1_bn"))
    for block, count in enumerate(blocks, 1):
        for number in range(1, count + 1):
            theirs, own = f"conv{block + 1}_block{number}", f"dense{block}_{number}"
            yield from ((f"{theirs}_0_bn", f"{own}_1x1_bn"), (f"{theirs}_1_conv", f"{own}_1x1"))
            yield from ((f"{theirs}_1_bn", f"{own}_bn"), (f"{theirs}_2_conv", own))
        own = f"transition{block}_1x1"
        yield from ((f"pool{block + 1}_bn", f"{own}_bn"), (f"pool{block + 1}_conv", own))
    yield from (("bn", "norm_bn"), ("fc1000", "fc"), ("predictions", "fc"))


def caffe_layers(blocks: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Name of each layer in the authors' networks in Caffe; batch norm and scale are layers of their own there."""
    yield from (("conv1", "conv1_conv"), ("conv1/bn", "conv1_bn"), ("conv1/scale", "conv1_bn"), ("fc6", "fc"))
    for block, count in enumerate(blocks, 1):
        parts = {f"conv{block + 1}_blk": f"transition{block}_1x1" if block < len(blocks) else "norm"}
        for number in range(1, count + 1):
            theirs, own = f"conv{block + 1}_{number}", f"dense{block}_{number}"
            parts |= {f"{theirs}/x1": f"{own}_1x1", f"{theirs}/x2": own}
        for theirs, own in parts.items():
            yield from ((theirs, own), (f"{theirs}/bn", f"{own}_bn"), (f"{theirs}/scale", f"{own}_bn"))


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of Keras Applications, torchvision, with a dot before a layer's numbers in its files, and Caffe to ours."""
    blocks = settings["blocks"]
    names = dict(torch_modules(**settings)) | dict(keras_layers(blocks)) | dict(caffe_layers(blocks))
    numbered = {f"{module[:-1]}.{module[-1]}": own for module, own in names.items() if ".denselayer" in module}
    converted = from_channels_first(arrays, names | numbered)
    if "fc6.blobs.0" in arrays:  # a 1x1 convolution there
        converted["fc/kernel"] = converted["fc/kernel"].reshape(converted["fc/kernel"].shape[-2:])
    return converted


public_files = partial(keras_and_torch_files, "densenet", TORCH, epsilon=1e-5)
caffe: dict[str, Any] = dict(
    preprocessing=Preprocessing(
        (224, 224), resize_shorter=256, color="BGR", mean=(103.94, 116.78, 123.68), std=(1 / 0.017,) * 3
    ),
    licence=AUTHORS,
    epsilon=1e-5,
)

WEIGHTS: Mapping[str, tuple[WeightsFile, ...]] = {
    "DenseNet121": (
        *public_files(
            "densenet121",
            "9d60b8095a5708f2dcce2bca79d332c7",
            "30ee3e1110167f948a6b9946edeeb738",
            "densenet121-a639ec97.pth",
        ),
        zoo_file(
            "densenet-121/DenseNet_121.caffemodel",
            "sha256:c6a6ec988d76c468c3f67501a23a39ec7bf6ebe6729fd99496a15d0e845478b2",
            **caffe,
        ),
    ),
    "DenseNet169": (
        *public_files(
            "densenet169",
            "d699b8f76981ab1b30698df4c175e90b",
            "b8c4d4c20dd625c148057b9ff1c1176b",
            "densenet169-b2777c0a.pth",
        ),
        drive_file(
            "0B7ubpZO7HnlCRWVVdUJjVVAyQXc",
            "DenseNet_169.caffemodel",
            "sha256:8d45f2ab15f6329e2f80004692c58129cc4875ffe43ddf59433ebc2216189f15",
            **caffe,
        ),
    ),
    "DenseNet201": (
        *public_files(
            "densenet201",
            "1ceb130c1ea1b78c3bf6114dbdfd8807",
            "c13680b51ded0fb44dff2d8f86ac8bb1",
            "densenet201-c1103571.pth",
        ),
        zoo_file(
            "densenet-201/DenseNet_201.caffemodel",
            "sha256:ba464965293d4dd5557085d57ec810bf353de362dd90e1b8293e6f0707978e4a",
            **caffe,
        ),
    ),
    "DenseNet161": (
        torchvision_file("imagenet", "densenet161-8d451a50.pth", epsilon=1e-5),
        zoo_file(
            "densenet-161/DenseNet_161.caffemodel",
            "sha256:e124d9a8f2284f4ab160569139217f709f21be6fc132c865b6a55cb8cae7d6b5",
            **caffe,
        ),
    ),
}

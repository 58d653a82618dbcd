"""The public files of ResNets for ImageNet, and what they call the layers of resnet.py."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_vision.applications._public_files import CAFFE, keras_and_torch_files, released_file, torchvision_file
from keras_vision.errors import WeightsError
from keras_vision.registry import WeightsFile
from keras_vision.weights import from_channels_first


def torch_modules(*, blocks: tuple[int, ...], **settings: Any) -> Iterator[tuple[str, str]]:
    """torchvision's module of each layer; the CIFAR files call their classifier "linear"."""
    yield from (("conv1", "conv1_conv"), ("bn1", "conv1_bn"), ("linear", "fc"), ("fc", "fc"))
    for stage, count in enumerate(blocks, 1):
        for position in range(count):
            module, own = f"layer{stage}.{position}", f"conv{stage + 1}_{position + 1}"
            yield f"{module}.downsample.0", f"{own}_shortcut_conv"
            yield f"{module}.downsample.1", f"{own}_shortcut_bn"
            for number in (1, 2, 3):
                yield f"{module}.conv{number}", f"{own}_{number}_conv"
                yield f"{module}.bn{number}", f"{own}_{number}_bn"


def keras_layers(blocks: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Keras Applications' name of each layer; it counts the shortcut as convolution 0."""
    yield from (("predictions", "fc"), ("probs", "fc"))  # of older releases
    for stage, count in enumerate(blocks, 2):
        for position in range(1, count + 1):
            for number, own in enumerate(("shortcut", "1", "2", "3")):
                for part in ("conv", "bn"):
                    theirs = f"conv{stage}_block{position}_{number}_{part}"
                    yield theirs, f"conv{stage}_{position}_{own}_{part}"


def caffe_layers(blocks: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Caffe's name of each layer in the authors' files: blocks are a, b, c, or in long stages a, b1, b2."""
    yield from (("conv1", "conv1_conv"), ("bn_conv1", "conv1_bn"), ("scale_conv1", "conv1_bn"), ("fc1000", "fc"))
    branches = {"branch1": "shortcut", "branch2a": "1", "branch2b": "2", "branch2c": "3"}
    for stage, count in enumerate(blocks, 2):
        for position in range(count):
            for block in {string.ascii_lowercase[position % 26], f"b{position}" if position else "a"}:
                for branch, part in branches.items():
                    own = f"conv{stage}_{position + 1}_{part}"
                    yield f"res{stage}{block}_{branch}", f"{own}_conv"
                    yield from ((f"{kind}{stage}{block}_{branch}", f"{own}_bn") for kind in ("bn", "scale"))


def convert(arrays: dict[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names of Keras Applications, torchvision and Caffe to the paper's; no layout takes another's weights."""
    blocks = settings["blocks"]
    names = dict(torch_modules(**settings)) | dict(keras_layers(blocks)) | dict(caffe_layers(blocks))
    converted = from_channels_first(arrays, names)
    layouts = layouts_of(arrays, converted)
    if settings["layout"] not in layouts:
        raise WeightsError(
            f"weights in layout={layouts[0]!r}, {'with' if layouts[0] == 'keras' else 'without'} biases, for a network "
            f"in layout={settings['layout']!r}: pass layout={layouts[0]!r}, or other weights (None for random ones)."
        )
    return converted


def layouts_of(arrays: Mapping[str, np.ndarray], converted: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """What a file can be loaded into; this package's own names do not tell torchvision's layout from Caffe's."""
    if "res2a_branch2a.blobs.0" in arrays:
        return ("caffe",)
    if any(f"conv1_conv/{variable}" in converted for variable in ("bias", "1")):
        return ("keras",)
    return ("torch",) if any(key.endswith(".running_mean") for key in arrays) else ("torch", "caffe")


def public_files(model: str, md5: str, md5_notop: str, torch: str, drive: str, sha256: str) -> tuple[WeightsFile, ...]:
    """Keras Applications' whole and trunk, torchvision's and, from the authors' drive, Caffe's."""
    caffe = released_file(
        "caffe",
        f"https://onedrive.live.com/download?cid=4006CBB8476FF777&resid=4006CBB8476FF777%{drive}&authkey=AAFW2-FVoxeVRck",
        f"sha256:{sha256}",
        CAFFE,
        "by the authors",
        "MIT (authors); ImageNet terms",
        f"ResNet-{model.removeprefix('resnet')}-model.caffemodel",
        layout="caffe",
    )
    return (*keras_and_torch_files("resnet", CAFFE, model, md5, md5_notop, torch, layout="torch"), caffe)


WEIGHTS: Mapping[str, tuple[WeightsFile, ...]] = {
    "ResNet18": (torchvision_file("imagenet", "resnet18-f37072fd.pth", layout="torch"),),
    "ResNet34": (torchvision_file("imagenet", "resnet34-b627a593.pth", layout="torch"),),
    "ResNet50": public_files(
        "resnet50",
        "2cb95161c43110f7111970584f804107",
        "4d473c1dd8becc155b73f8504c6f6626",
        "resnet50-0676ba61.pth",
        "2117895",
        "44ee2b08816cede2b7aaa047888df07dcab52f73399aa1c8bef05a17bfdd4888",
    ),
    "ResNet101": public_files(
        "resnet101",
        "f1aeb4b969a6efcfb50fad2f0c20cfc5",
        "88cf7a10940856eca736dc7b7e228a21",
        "resnet101-63fe2227.pth",
        "2117896",
        "2847d93346d7928ec1f257f49f60ea53e9075c15265c494469610e67ffb7f2e2",
    ),
    "ResNet152": public_files(
        "resnet152",
        "100835be76be38e30d865e96f2aaae62",
        "ee4c566cf9a93f14d82f913c2dc6dd0c",
        "resnet152-394f9c45.pth",
        "2117897",
        "6253c4c4132c0b25c112b166629aa57dcaeec044a4c68ac9f003b6c801329d55",
    ),
}

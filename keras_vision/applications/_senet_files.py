"""The public files of SENets, and what they call the layers of senet.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from keras_vision.applications._public_files import (
    BVLC,
    TORCH,
    drive_file,
    name_numbered_layers,
    released_file,
    zoo_file,
)
from keras_vision.applications._resnet_files import torch_modules as resnet_modules
from keras_vision.registry import WeightsFile
from keras_vision.weights import from_channels_first

Arrays = dict[str, np.ndarray]

_GROUP = "#group"


def stem_names(stem: Sequence[Any]) -> list[str]:
    """The first convolutions: conv1 alone, or conv1_1 to conv1_3."""
    return [f"conv1_{number}" if len(stem) > 1 else "conv1" for number in range(1, len(stem) + 1)]


def convert(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    """Names of Cadene and timm, of the authors' Caffe files and of the Keras port to the paper's."""
    names = dict(torch_modules(**settings)) | dict(timm_modules(**settings)) | dict(caffe_layers(**settings))
    numbered = name_numbered_layers(from_channels_first(arrays, names), keras_layers(**settings))
    return with_dense_excitation(with_joined_groups(numbered))


def torch_modules(*, blocks: tuple[int, ...], stem: Sequence[Any], **settings: Any) -> Iterator[tuple[str, str]]:
    """Module of each layer in Cadene's conversions of the authors' files, which timm calls "legacy"."""
    yield "last_linear", "fc"
    parts = [(f"layer0.{{}}{number}", name) for number, name in enumerate(stem_names(stem), 1)]
    for stage, count in enumerate(blocks, 1):
        for position in range(count):
            module, own = f"layer{stage}.{position}", f"conv{stage + 1}_{position + 1}"
            parts += [(f"{module}.{{}}{number}", f"{own}_{number}") for number in (1, 2, 3)]
            yield from ((f"{module}.se_module.{fc}", f"{own}_se_{fc}") for fc in ("fc1", "fc2"))
            yield f"{module}.downsample.0", f"{own}_shortcut_conv"
            yield f"{module}.downsample.1", f"{own}_shortcut_bn"
    for module, own in parts:
        yield from ((module.format(part), f"{own}_{part}") for part in ("conv", "bn"))


def timm_modules(*, blocks: tuple[int, ...], **settings: Any) -> Iterator[tuple[str, str]]:
    """Module of each layer in timm's own ResNets with squeeze and excitation, where torchvision's have one too."""
    yield from resnet_modules(blocks=blocks)
    for stage, count in enumerate(blocks, 1):
        for position in range(count):
            parts = ("fc1", "fc2")
            yield from ((f"layer{stage}.{position}.se.{fc}", f"conv{stage + 1}_{position + 1}_se_{fc}") for fc in parts)


def caffe_layers(*, blocks: tuple[int, ...], stem: Sequence[Any], **settings: Any) -> Iterator[tuple[str, str]]:
    """Caffe's name of each layer in the authors' files."""
    yield "classifier", "fc"
    parts = [
        (f"{own}/{kernel}x{kernel}" + ("_s2" if stride == 2 else ""), own)
        for own, (_, kernel, stride) in zip(stem_names(stem), stem, strict=True)
    ]
    theirs = {"1": "1x1_reduce", "2": "3x3", "3": "1x1_increase", "shortcut": "1x1_proj"}
    for own in block_names(blocks):
        parts += [(f"{own}_{name}", f"{own}_{part}") for part, name in theirs.items()]
        yield from ((f"{own}_1x1_down", f"{own}_se_fc1"), (f"{own}_1x1_up", f"{own}_se_fc2"))
    for name, own in parts:
        yield from ((name, f"{own}_conv"), (f"{name}/bn", f"{own}_bn"), (f"{name}/bn/scale", f"{own}_bn"))


def keras_layers(*, blocks: tuple[int, ...], stem: Sequence[Any], groups: int, **settings: Any) -> dict[str, list[str]]:
    """Layers of each kind in the order in which the Keras port numbers them; it has one convolution per group."""
    convs, norms = [f"{name}_conv" for name in stem_names(stem)], [f"{name}_bn" for name in stem_names(stem)]
    for own in block_names(blocks):
        parts = ["1", "2", "3"] + (["shortcut"] if own.endswith("_1") else [])
        norms += [f"{own}_{part}_bn" for part in parts]
        each = {part: [f"{own}_{part}_conv"] for part in parts}
        if groups > 1:
            each["2"] = [f"{own}_2_conv{_GROUP}{number:03}" for number in range(groups)]
        convs += [name for part in parts for name in each[part]] + [f"{own}_se_fc1", f"{own}_se_fc2"]
    return {"conv2d": convs, "batch_normalization": norms, "dense": ["fc"]}


def block_names(blocks: tuple[int, ...]) -> list[str]:
    """conv2_1, conv2_2 and so on."""
    return [
        f"conv{stage}_{number}" for stage, count in enumerate(blocks, 2) for number in range(1, count + 1)
    ]  # fmt: skip


def with_joined_groups(arrays: Arrays) -> Arrays:
    """One kernel, `(h, w, c/groups, filters)`, of those that the Keras port has for each group."""
    joined: Arrays = {}
    parts: dict[str, list[str]] = {}
    for key in sorted(arrays):
        layer, _, rest = key.partition(_GROUP)
        if rest:
            parts.setdefault(layer + rest[3:], []).append(key)
        else:
            joined[key] = arrays[key]
    return joined | {key: np.concatenate([arrays[part] for part in of], axis=-1) for key, of in parts.items()}


def with_dense_excitation(arrays: Arrays) -> Arrays:
    """The released layers that squeeze and excite are 1x1 convolutions."""
    ours = ("_se_fc1/kernel", "_se_fc2/kernel")
    return {key: a.reshape(a.shape[-2:]) if key.endswith(ours) else a for key, a in arrays.items()}


# ------------------------------------------------------------------------------------------------- files

AUTHORS = "Apache-2.0 (authors); ImageNet terms"


def timm_file(
    release: str, file: str, hash: str, name: str = "imagenet", by: str = "by the authors, converted by Remi Cadene",
    **settings: Any,
) -> WeightsFile:  # fmt: skip
    """A release of timm: by default the authors' Caffe weights in PyTorch, or timm's where they published none."""
    url = f"https://github.com/rwightman/pytorch-image-models/releases/download/{release}/{file}-{hash}.pth"
    licence = "Apache-2.0 (authors and timm); ImageNet terms"
    return released_file(name, url, f"sha256:{hash}", TORCH, f"{by}, at timm", licence, **settings)


wightman = partial(timm_file, "v0.1-weights", name="timm", by="by Ross Wightman", stride_in=2, pool="padded")


def keras_files(model: str, md5: str, md5_notop: str) -> tuple[WeightsFile, WeightsFile]:
    """Pavel Yakubovskiy's port, whole and trunk."""
    folder = "https://github.com/qubvel/classification_models/releases/download/0.0.1"
    by, licence = "by the authors, converted by Pavel Yakubovskiy", "MIT (classification_models); ImageNet terms"
    whole, trunk = f"{folder}/{model}_imagenet_1000.h5", f"{folder}/{model}_imagenet_1000_no_top.h5"
    return (
        released_file("keras", whole, f"md5:{md5}", TORCH, by, licence, pool="padded"),
        released_file("keras_notop", trunk, f"md5:{md5_notop}", TORCH, by, licence, pool="padded"),
    )


WEIGHTS: Mapping[str, tuple[WeightsFile, ...]] = {
    "SEResNet50": (
        timm_file("v0.1-cadene", "se_resnet50", "ce0d4300"),
        zoo_file(
            "se-resnet-50/SE-ResNet-50.caffemodel",
            "sha384:3f093acba237185b50fb354e3841b4d01f50328d9f381937af5e836e808b4ce2671b0b44ca808df8911dba81a3e9d97c",
            BVLC,
            licence=AUTHORS,
        ),
        wightman("seresnet50_ra_224", "8efdb4bb"),
        *keras_files("seresnet50", "ff0ce1ed5accaad05d113ecef2d29149", "043777781b0d5ca756474d60bf115ef1"),
    ),
    "SEResNet101": (
        timm_file("v0.1-cadene", "se_resnet101", "7e38fcc6"),
        zoo_file(
            "se-resnet-101/SE-ResNet-101.caffemodel",
            "sha256:09777ce1202087954ee34ae2566cf611d03d2d8195ced0fe51b612ebf951d729",
            BVLC,
            licence=AUTHORS,
        ),
        *keras_files("seresnet101", "5c31adee48c82a66a32dee3d442f5be8", "1c373b0c196918713da86951d1239007"),
    ),
    "SEResNet152": (
        timm_file("v0.1-cadene", "se_resnet152", "d17c99b7"),
        drive_file(
            "0BwHV3BlNKkWlcFE0Q2NTcWl3WUE",
            "SE-ResNet-152.caffemodel",
            "sha256:bbe7fc5b5068b7cd4b12ce1bb78f61bd3f48238a372e70ab9c0724afa778e5d1",
            BVLC,
            licence=AUTHORS,
        ),
        *keras_files("seresnet152", "96fc14e3a939d4627b0174a0e80c7371", "f58d4c1a511c7445ab9a2c2b83ee4e7b"),
    ),
    "SEResNeXt50": (
        timm_file("v0.1-weights", "legacy_se_resnext50_32x4d", "f3651bad"),
        drive_file(
            "0BwHV3BlNKkWlQ2Z0Q204V1RITjA",
            "SE-ResNeXt-50.caffemodel",
            "sha256:f12c6b53c2dcd0f38f388d3d5f98cbfc039357e84842e661f28a49719dd52219",
            BVLC,
            licence=AUTHORS,
        ),
        wightman("seresnext50_32x4d_racm", "a304a460"),
        *keras_files("seresnext50", "5310dcd58ed573aecdab99f8df1121d5", "b0f23d2e1cd406d67335fb92d85cc279"),
    ),
    "SEResNeXt101": (
        timm_file("v0.1-weights", "legacy_se_resnext101_32x4d", "37725eac"),
        zoo_file(
            "se-resnext-101/SE-ResNeXt-101.caffemodel",
            "sha256:78dc95c9b768fdb32a0a3981a686edaf655df82973b051d818bae523c9a93c90",
            BVLC,
            licence=AUTHORS,
        ),
        *keras_files("seresnext101", "be5b26b697a0f7f11efaa1bb6272fc84", "e48708cbe40071cc3356016c37f6c9c7"),
    ),
    "SENet154": (
        timm_file("v0.1-weights", "legacy_senet154", "e9eb9fe6"),
        *keras_files("senet154", "c8eac0e1940ea4d8a2e0b2eb0cdf4e75", "d854ff2cd7e6a87b05a8124cd283e0f2"),
    ),
}

"""Ready-made augmentations, by paper. All work on images with masks: the geometry moves both, colours leave masks."""

from __future__ import annotations

from keras_vision.data.augment.geometry import (
    AreaCrop,
    CentreCrop,
    CentrePatchCrop,
    PaddedCrop,
    ScaleAndCrop,
    ScaleJitter,
    Translation,
)
from keras_vision.data.augment.photometric import ColorDistortion, PCAColor
from keras_vision.data.augment.window import Augmentation, Photometric


def inception(
    *,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
    distortion: float = 1.0,
    mirror: float = 0.5,
) -> Augmentation:
    """GoogLeNet's and the later Inceptions' training crops and colours (arXiv 1409.4842, section 6).

    Args:
        area: range of the crop's share of the image.
        aspect: range of width / height.
        distortion: strength of the colour distortion, from 0 (none) to 1 (that of `ColorDistortion`). Batch-normalised
            Inception reduces it, the paper does not say how far (arXiv 1502.03167, section 4.2.1).
        mirror: probability of a mirror image.

    Raises:
        KerasVisionError: a range or a probability makes no sense.
    """
    return Augmentation(AreaCrop(area, aspect, mirror=mirror), _colors(distortion))


def vgg(*, scales: int | tuple[int, int] = (256, 512), pca: float = 0.1, mirror: float = 0.5) -> Augmentation:
    """VGG's scale jitter and colour shift (arXiv 1409.1556, section 3.1); ResNet's with `scales=(256, 480)`.

    Args:
        scales: range of the resized shorter side, in pixels; one number is a fixed scale.
        pca: standard deviation of the PCA colour shift; 0 leaves it out.
        mirror: probability of a mirror image.

    Raises:
        KerasVisionError: a range, a deviation or a probability makes no sense.
    """
    ends = (scales, scales) if isinstance(scales, int) else scales
    return Augmentation(ScaleJitter(ends, mirror), _pca(pca))


def alexnet(*, shorter: int = 256, pca: float = 0.1, mirror: float = 0.5) -> Augmentation:
    """AlexNet's crops of the central patch and colour shift (Krizhevsky et al. 2012, section 4.1).

    Args:
        shorter: length of the resized shorter side, and side of the patch, in pixels.
        pca: standard deviation of the PCA colour shift; 0 leaves it out.
        mirror: probability of a mirror image.

    Raises:
        KerasVisionError: a length, a deviation or a probability makes no sense.
    """
    return Augmentation(CentrePatchCrop(shorter, mirror), _pca(pca))


def fcn(*, pixels: int = 32, mirror: float = 0.5) -> Augmentation:
    """FCN's mirror and jitter (arXiv 1411.4038, section 4.3), which, it says, brought no noticeable gain.

    Args:
        pixels: largest move in each direction.
        mirror: probability of a mirror image.

    Raises:
        KerasVisionError: a number or a probability makes no sense.
    """
    return Augmentation(Translation(pixels, mirror))


def cifar(*, pad: int = 4, mirror: float = 0.5) -> Augmentation:
    """Padding, crop and mirror image of CIFAR's small pictures (ResNet, arXiv 1512.03385, section 4.2; DenseNet).

    Args:
        pad: empty pixels on each side.
        mirror: probability of a mirror image.

    Raises:
        KerasVisionError: a number or a probability makes no sense.
    """
    return Augmentation(PaddedCrop(pad, mirror))


def segmentation(
    *, scales: tuple[float, float] = (0.5, 1.5), distortion: float = 0.0, mirror: float = 0.5
) -> Augmentation:
    """Random scale and crop of images with masks (DeepLab v2, arXiv 1606.00915, section 4.1).

    Args:
        scales: range of the factor of the image's own size.
        distortion: strength of a colour distortion, which the paper does not have, from 0 (none) to 1.
        mirror: probability of a mirror image.

    Raises:
        KerasVisionError: a range or a probability makes no sense.
    """
    return Augmentation(ScaleAndCrop(scales, mirror), _colors(distortion))


def evaluation(*, shorter: int | None = None) -> Augmentation:
    """No augmentation: what `Preprocessing` shows of an image.

    Args:
        shorter: length of the resized shorter side, in pixels, before the centre crop; None squashes the image.

    Raises:
        KerasVisionError: the length makes no sense.
    """
    return Augmentation(CentreCrop(shorter))


def _colors(distortion: float) -> tuple[Photometric, ...]:
    colors = ColorDistortion().scaled(distortion)
    return (colors,) if distortion else ()


def _pca(deviation: float) -> tuple[Photometric, ...]:
    return (PCAColor(deviation),) if deviation else ()

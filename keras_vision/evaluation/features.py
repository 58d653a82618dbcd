"""Descriptors of images from a trained classifier, for a linear SVM on another data set.

Here with random weights and scikit-learn's digits, so that it runs anywhere in seconds. In earnest the network is
`kv.applications.VGG16()`, the scales are the default ones, and the images are `kv.data.image_folder("photos/")`.

    >>> import keras
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
    >>> from sklearn.svm import LinearSVC
    >>> import keras_vision as kv
    >>> from keras_vision.evaluation import caltech_splits, describe, mean_class_recall
    >>> keras.utils.set_random_seed(0)
    >>> model = kv.applications.SqueezeNetV1_1(weights=None, classes=10, input_shape=(64, 64, 3))
    >>> digits = kv.data.digits()
    >>> [(train, test)] = caltech_splits(digits.labels, per_class=10, test_per_class=5, splits=1)
    >>> chosen = np.concatenate([train, test])
    >>> descriptors = describe(model, [digits.sources[i] for i in chosen], scales=(32, 64), aggregate="stack")
    >>> descriptors.shape
    (150, 1024)

A fifth of the training images chooses C, as in the paper; then the SVM learns from all of them:

    >>> held_out = StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    >>> svm = GridSearchCV(LinearSVC(), {"C": [1.0, 10.0]}, cv=held_out)
    >>> svm = svm.fit(descriptors[: len(train)], digits.labels[train])
    >>> recall = mean_class_recall(svm.predict(descriptors[len(train) :]), digits.labels[test])
    >>> recall > 0.5  # chance is 0.1
    True
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from keras_vision import graph
from keras_vision.analytics.network import penultimate
from keras_vision.data import LabelledImages
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.evaluation.networks import MAX_DENSE_PIXELS, check_ensemble, views
from keras_vision.evaluation.protocols import Views
from keras_vision.fully_convolutional import fully_convolutional
from keras_vision.model import VisionModel
from keras_vision.runtime import open_image
from keras_vision.runtime.preprocessing import resized_size

AGGREGATES: dict[str, Callable[..., np.ndarray]] = {
    "average": lambda scales: np.mean(scales, axis=0),
    "stack": np.concatenate,
}


def describe(
    model: VisionModel,
    images: LabelledImages | Sequence[Any],
    scales: Sequence[int] = (256, 384, 512),
    layer: str | None = None,
    aggregate: str = "average",
    mirror: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Descriptors of images by a classifier without its last layer: float32 `(n, d)`, each of Euclidean length 1.

    The network, made fully convolutional, is applied to each whole image; the feature map is averaged over all
    positions, then with that of the mirrored image, then the scales are averaged or stacked. Only the result is
    L2-normalised, neither the maps nor the scales; one of zeros stays so. For late fusion of two networks, stack
    their descriptors: `np.hstack([describe(a, images), describe(b, images)])`.

    The network is converted in each call, so give all images at once. They are opened twice: first all of them, so
    that an unreadable one is found before hours of work, then one by one, so that memory does not grow with their
    number beyond the descriptors.

    Args:
        model: a classifier of fixed input size, with a card, which says how to normalise pixels.
        images: with labels, which are not used; or paths, encoded bytes, Pillow images or uint8 arrays `(h, w)` or
            `(h, w, 3)`.
        scales: lengths in pixels that the image's shorter side is resized to (Pillow's antialiased bilinear filter,
            the aspect ratio kept). The paper's are for an input of 224.
        layer: name of the layer whose output is averaged. By default the one that feeds the classifier's last dense
            or convolution layer, dropout, padding and average pooling left out: fc7 after its ReLU in VGG
            (d = 4096), mixed10 in Inception-v3 (2048), fire9 in SqueezeNet (512).
        aggregate: "average" over the scales, or "stack", which multiplies d by their number.
        mirror: whether to average with the mirrored image.
        progress: called with (images done, images in all).

    Raises:
        KerasVisionError: the model is no classifier of images, has no such layer, needs larger scales, or has weights
            that are not finite; or some images cannot be decoded or exceed 2^22 pixels after resizing: all of them are
            found, the first five named.

    Source: VGG (Simonyan & Zisserman, 2014), appendix B.
    """
    if aggregate not in AGGREGATES:
        raise KerasVisionError(f"aggregate={aggregate!r}; accepted: {', '.join(AGGREGATES)}.")
    check_ensemble([model])
    features = _features(model, layer)
    spec = dataclasses.replace(model.preprocessing, size=graph.minimum_size(features))
    whole = Views(dense=True, mirror=mirror, scales=tuple(scales), unit="pixels")
    sources = _usable(images, max(whole.shorter_sides(spec)))
    descriptors = []
    for done, source in enumerate(sources, 1):
        maps = (features.predict_on_batch(spec.normalize(p)) for p in views(whole, spec, open_image(source)))
        per_scale = [np.mean(both, axis=(0, 1, 2), dtype=np.float64) for both in maps]  # both: with the mirrored one
        descriptors.append(AGGREGATES[aggregate](per_scale))
        if progress is not None:
            progress(done, len(sources))
    return normalize(np.stack(descriptors)).astype(np.float32)


def _features(model: VisionModel, name: str | None) -> VisionModel:
    """The fully convolutional network up to the named layer: `(n, h, w, c)` of any size to `(n, h', w', d)`."""
    network = fully_convolutional(model)
    if name is None:
        output = penultimate(network.output)
    else:
        known = {layer.name: layer.output for layer in network.layers}
        key = name.replace("/", "_")  # Keras allows no "/" in a layer's name
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
            raise KerasVisionError(f"{model.name} has no layer {name!r}. {hint}")
        output = known[key]
    if len(output.shape) != 4:
        raise KerasVisionError(f"{model.name}'s layer {name!r} gives {output.shape}, which is no feature map.")
    features = VisionModel(network.input, output, name=model.name)
    if not all(np.isfinite(weight.numpy()).all() for weight in features.weights):  # TensorFlow's fused ReLU hides NaN
        raise KerasVisionError(f"{model.name} has weights that are not finite, as after a training that diverged.")
    features.jit_compile = False  # XLA would compile anew for each size of image
    return features


def _usable(images: LabelledImages | Sequence[Any], longest: int) -> Sequence[Any]:
    """The sources of the images; refused if any cannot be decoded or is too large at the scale `longest`."""
    sources = images.sources if isinstance(images, LabelledImages) else images
    if isinstance(sources, str | bytes | os.PathLike) or not len(sources):
        raise KerasVisionError(f"images={sources!r}; give a list of at least one image, or `image_folder(...)`.")

    def problem(source: Any) -> str | None:
        try:
            image = open_image(source)
        except ImageError as error:
            return str(error)
        height, width = resized_size(image.height, image.width, longest)
        small = height * width <= MAX_DENSE_PIXELS
        return None if small else f"{width} x {height} pixels at scale {longest}, more than {MAX_DENSE_PIXELS}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [f"image {i}: {text}" for i, text in enumerate(pool.map(problem, sources)) if text is not None]
    if found:
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        raise KerasVisionError(
            f"{len(found)} of {len(sources)} images cannot be described; leave them out. {'; '.join(found[:5])}{more}."
        )
    return sources

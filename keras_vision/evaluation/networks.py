"""A classifier under a test protocol: views of images in, class posteriors out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from PIL import Image
from scipy.special import softmax

from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.evaluation.protocols import Protocol, Views
from keras_vision.fully_convolutional import fully_convolutional
from keras_vision.model import VisionModel
from keras_vision.runtime import Preprocessing
from keras_vision.runtime.preprocessing import resized_size

MAX_DENSE_PIXELS = 1 << 22  # the first maps of VGG then take 1 GB; at a scale of 256, a strip of 1 : 64

Posterior = tuple[int, np.ndarray]  # an image's index, and a share of its class posteriors, `(classes,)`


def views(part: Views, spec: Preprocessing, image: Image.Image) -> Iterator[np.ndarray]:
    """The views of an image, uint8 pixels `(1, h, w, channels)`, or `(2, h, w, channels)` with the mirrored one.

    Pillow's antialiased bilinear filter, as in `Preprocessing.pixels`; each crop is made from its part of the source,
    so that the resized image is held only where it is a view itself.

    Raises:
        ImageError: a dense view would exceed 2^22 pixels.
    """
    image = image.convert("L" if spec.color == "L" else "RGB")
    if part.dense:
        whole = (0.0, 0.0, float(image.width), float(image.height))
        sizes = [resized_size(image.height, image.width, side) for side in part.shorter_sides(spec)]
        wanted = [(size, whole) for size in sizes]
    else:
        wanted = [(spec.size, box) for box in part.boxes(spec, image.height, image.width)]
    for (height, width), box in wanted:
        if part.dense and height * width > MAX_DENSE_PIXELS:
            raise ImageError("image", f"{width} x {height} pixels after resizing, more than a dense view may have")
        resized = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
        pixels = np.asarray(resized).reshape(1, height, width, spec.channels)
        yield np.concatenate([pixels, pixels[:, :, ::-1]]) if part.mirror else pixels


class Network:
    """One model of an ensemble. Crops of several images share a batch; dense views run alone, as their sizes differ.

    Args:
        model: a classifier with a card.
        protocol: which views it is given.
        batch_size: crops per call of the model. A last short batch is filled up, so that one graph serves all.

    Raises:
        KerasVisionError: the model gives no classes, takes no images, or does not fit the protocol.
    """

    def __init__(self, model: VisionModel, protocol: Protocol, batch_size: int):
        self.model, self.protocol, self.batch_size = model, protocol, batch_size
        self.spec = model.preprocessing
        self._waiting: list[tuple[int, float, np.ndarray]] = []
        for part in protocol.parts:
            if not part.own:
                part.shorter_sides(self.spec)  # raises now rather than at the first image
        if protocol.dense:
            self._dense = fully_convolutional(model)
            self._dense.jit_compile = False  # XLA would compile anew for each size of image

    def views(self, image: Image.Image) -> list[tuple[Views, np.ndarray]]:
        """All views of an image, with the part of the protocol each belongs to.

        Raises:
            ImageError: a dense view would be too large.
        """
        return [(part, pixels) for part in self.protocol.parts for pixels in views(part, self.spec, image)]

    def add(self, index: int, stacks: list[tuple[Views, np.ndarray]]) -> Iterator[Posterior]:
        """Take the views of image `index`; yield what is finished, of this image and of earlier ones.

        The shares of one image sum to its class posteriors: the mean over parts of the mean over views.
        """
        for part, pixels in stacks:
            share = 1 / (len(self.protocol.parts) * part.count)
            if part.dense:
                logits = self._call(self._dense, pixels).mean(axis=(1, 2), dtype=np.float64)
                yield from ((index, share * posterior) for posterior in softmax(logits, axis=1))
                continue
            for crop in pixels:
                self._waiting.append((index, share, crop))
                if len(self._waiting) == self.batch_size:
                    yield from self.flush()

    def flush(self) -> Iterator[Posterior]:
        """Run the crops that wait for their batch to fill."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        pixels = np.zeros((self.batch_size, *waiting[0][2].shape), np.uint8)
        pixels[: len(waiting)] = [crop for _, _, crop in waiting]
        scores = self._call(self.model, pixels)[: len(waiting)].astype(np.float64)
        posteriors = softmax(scores, axis=1) if self.model.card.output == "logit" else scores
        for (index, share, _), posterior in zip(waiting, posteriors, strict=True):
            yield index, share * posterior

    def _call(self, model: keras.Model, pixels: np.ndarray) -> np.ndarray:
        outputs: Any = model.predict_on_batch(self.spec.normalize(pixels))
        scores = np.asarray(keras.tree.flatten(outputs)[0])  # the others are auxiliary heads, which serve training only
        if not np.isfinite(scores).all():
            raise KerasVisionError(
                f"{model.name} gives scores that are not finite; its weights or its input are broken."
            )
        return scores


def check_ensemble(models: list[VisionModel]) -> int:
    """The number of classes that all models share.

    Raises:
        KerasVisionError: no models, one without a card, without classes or for input that is no image, or models of
            unequal classes.
    """
    for model in models:
        if not isinstance(model, VisionModel):
            raise KerasVisionError(
                f"{type(model).__name__} {getattr(model, 'name', '')!r} has no model card, which says how to prepare "
                "its images; use VisionModel(inputs, outputs, card=base.card) in place of keras.Model."
            )
        if model.card.output == "features":
            raise KerasVisionError(f"{model.name} gives feature maps, not classes.")
        if model.card.task != "classification":
            raise KerasVisionError(f"{model.name} is for {model.card.task}; these protocols are for classification.")
        if model.preprocessing.color == "raw":
            raise KerasVisionError(
                f"{model.name} takes {model.preprocessing.channels} channels, which no image file has."
            )
    classes = {model.name: keras.tree.flatten(model.outputs)[0].shape[-1] for model in models}
    if len(set(classes.values())) != 1:
        raise KerasVisionError(f"an ensemble is at least one model, all of the same classes; here: {classes}.")
    if len({model.labels for model in models} - {None}) > 1:
        raise KerasVisionError("the models' labels differ, so their scores cannot be averaged class by class.")
    return next(iter(classes.values()))

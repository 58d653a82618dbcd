"""Keras' own image augmentation layers as functions of a seed: the same result eagerly and in `tf.data.map`.

The layers draw their seeds from a counter, in the order in which they are called. Here every call brings its own seeds.
A `tf.function` around them may differ in the last bits: it turns their divisions by constants into products.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_vision.errors import KerasVisionError

_COLORS_ONLY = (  # these leave every pixel where it is; of others it is not known
    keras.layers.AutoContrast,
    keras.layers.Equalization,
    keras.layers.RandomBrightness,
    keras.layers.RandomColorDegeneration,
    keras.layers.RandomColorJitter,
    keras.layers.RandomContrast,
    keras.layers.RandomErasing,
    keras.layers.RandomGaussianBlur,
    keras.layers.RandomGrayscale,
    keras.layers.RandomHue,
    keras.layers.RandomInvert,
    keras.layers.RandomPosterization,
    keras.layers.RandomSaturation,
    keras.layers.RandomSharpness,
    keras.layers.Solarization,
)
_MIXING = (keras.layers.CutMix, keras.layers.MixUp)


def keras_photometric(layer: keras.layers.Layer) -> KerasPhotometric:
    """An augmentation layer of Keras that changes one image, such as `keras.layers.RandomErasing`, as a Photometric.

    The layer is copied; its own `seed` plays no part. Its `value_range` must be (0, 255). Keras draws
    the probability of `RandomErasing(factor=p)` itself between 0 and p; `factor=(p, p)` erases with probability p.

    Raises:
        KerasVisionError: the layer is no image augmentation, mixes images (see `keras_batch`), has another range, or
            (when called) changes the size.
    """
    if isinstance(layer, _MIXING):
        raise KerasVisionError(f"{layer.name} mixes the images of a batch; use keras_batch(layer) after batching.")
    _check_range(layer)
    return KerasPhotometric(_SeededLayer(layer), moves_pixels=not isinstance(layer, _COLORS_ONLY))


def keras_batch(layer: keras.layers.Layer) -> KerasBatch:
    """A layer that mixes the images of a batch, `keras.layers.MixUp` or `CutMix`, as `(images, labels, seed) -> both`.

    Raises:
        KerasVisionError: the layer is another one.
    """
    if not isinstance(layer, _MIXING):
        raise KerasVisionError(f"{layer!r} mixes no images; give keras.layers.MixUp or CutMix. See keras_photometric.")
    return KerasBatch(_SeededLayer(layer))


@dataclasses.dataclass(frozen=True)
class KerasPhotometric:
    """What `keras_photometric` returns: `(pixels, seed) -> pixels`, float32 `(h, w, 3)` in 0–255.

    Attributes:
        layer: the layer, bound to seeds.
        moves_pixels: the layer may also move pixels (RandAugment, AugMix): not for images with masks.
    """

    layer: _SeededLayer
    moves_pixels: bool

    def __call__(self, pixels: Any, seed: Any) -> Any:
        with self.layer.seeded(seed) as layer:
            images = pixels[None]
            if isinstance(layer, keras.layers.AugMix):
                images = _aug_mix(layer, images, seed)
            else:
                drawn = layer.get_random_transformation(images, training=True)
                images = layer.transform_images(images, drawn, training=True)
        if not images.shape[1:].is_compatible_with(pixels.shape):
            raise KerasVisionError(f"{layer.name} makes {images.shape[1:]} of {pixels.shape}; the size must stay.")
        return tf.clip_by_value(tf.ensure_shape(images[0], pixels.shape), 0.0, 255.0)


@dataclasses.dataclass(frozen=True)
class KerasBatch:
    """What `keras_batch` returns: `(images, labels, seed) -> (images, labels)`.

    Images are float32 `(n, h, w, 3)`; labels are probabilities, float32 `(n, classes)`.

    Raises:
        KerasVisionError: the labels are class numbers.
    """

    layer: _SeededLayer

    def __call__(self, images: Any, labels: Any, seed: Any) -> tuple[Any, Any]:
        if labels.shape.rank != 2 or not labels.dtype.is_floating:
            raise KerasVisionError(
                f"labels are {labels.dtype.name} of shape {labels.shape}, but mixed images have several classes; "
                "give probabilities, float32 (n, classes): tf.one_hot(labels, classes)."
            )
        with self.layer.seeded(seed) as layer:
            drawn = layer.get_random_transformation(images, training=True)
            mixed = layer.transform_images(images, drawn, training=True)
            return mixed, layer.transform_labels(labels, drawn, training=True)


class _Seeds(keras.random.SeedGenerator):
    """Seeds that follow from one seed tensor, not from a variable."""

    def __init__(self, seed: Any) -> None:
        self.seed, self.count = seed, 0  # without the variable that the base class would make

    def next(self, ordered: bool = True) -> Any:
        """The next seed, int32 `(2,)`."""
        self.count += 1
        return tf.random.fold_in(self.seed, self.count)


class _SeededLayer:
    """A copy of a layer that takes all its seeds from the one it is given, also where Keras passes none on."""

    def __init__(self, layer: Any) -> None:
        if not hasattr(layer, "get_random_transformation"):
            raise KerasVisionError(
                f"{layer!r} is no image augmentation layer of Keras; give one such as keras.layers.RandomErasing()."
            )
        self._layer = _copy(layer)
        self._current = threading.local()
        for part in self._layer._flatten_layers():
            part.backend.set_backend("tensorflow")  # tensors come from tf.data whatever Keras runs on
            part._get_seed_generator = lambda backend=None: self._current.seeds

    @contextlib.contextmanager
    def seeded(self, seed: Any) -> Iterator[Any]:
        """The layer, taking seeds that follow from this one."""
        self._current.seeds = _Seeds(seed)
        yield self._layer


def _copy(layer: Any) -> Any:
    try:
        return layer.__class__.from_config(
            layer.get_config() | {"dtype": "float32"}
        )  # even if Keras' policy is float16
    except (TypeError, ValueError) as error:
        raise KerasVisionError(
            f"Keras cannot make {layer.name} again from its own settings ({error}); give ranges that lie inside the "
            "layer's bounds on both sides, such as RandomShear(x_factor=(0, 0.1))."
        ) from error


def _aug_mix(layer: Any, images: Any, seed: Any) -> Any:
    """AugMix with the layer's settings and operations, but operations drawn for each image.

    Keras draws them with Python's `random`: in a graph once, when it is traced, so that all images get the same. Here
    the mixture is Keras': chains of up to `chain_depth` operations, "none" among them, weights of a Dirichlet
    distribution over the chains and of a Beta distribution between the image and the mixture (arXiv 1912.02781).
    """
    parts = [getattr(layer, name) for name in layer._augment_layers]
    seeds = _Seeds(seed)
    shares = layer._sample_from_dirichlet([layer.num_chains], layer.alpha, seeds)
    kept = layer.backend.random.beta((), layer.alpha, layer.alpha, seed=seeds)

    def step(changed: Any, key: Any) -> Any:
        which = tf.random.stateless_uniform([], key, 0, len(parts) + 1, tf.int32)
        ways = [functools.partial(_drawn, part, changed, tf.random.fold_in(key, 1)) for part in parts]
        return tf.ensure_shape(tf.switch_case(which, [*ways, functools.partial(tf.identity, changed)]), images.shape)

    def chain(key: Any) -> Any:
        return tf.foldl(step, tf.random.split(key, layer.chain_depth), images)

    chains = tf.map_fn(chain, tf.random.split(seeds.next(), layer.num_chains), fn_output_signature=images.dtype)
    return kept * images + (1.0 - kept) * tf.tensordot(shares, chains, 1)


def _drawn(layer: Any, images: Any, seed: Any) -> Any:
    return layer.transform_images(images, layer.get_random_transformation(images, seed=_Seeds(seed)))


def _check_range(layer: Any) -> None:
    span = getattr(layer, "value_range", (0, 255))
    if tuple(span) != (0, 255):
        raise KerasVisionError(f"{layer.name} takes values in {span}; give value_range=(0, 255), as pixels are.")

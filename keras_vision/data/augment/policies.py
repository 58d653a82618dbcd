"""AutoAugment's and RandAugment's policies of tf-models-official, from the extra `[models]`.

Policies and operations are theirs (`official.vision.ops.augment`). Their draws come from TensorFlow's global state, so
the draws are made here, from the seed: which operations, whether each is applied, its direction, and Cutout's place.
Theirs is also that Solarize at level 10 inverts the whole image: the threshold, 256, becomes 0 in 8 bits.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_vision.data.augment.arguments import at_least, count, probability
from keras_vision.data.augment.photometric import Cutout
from keras_vision.errors import KerasVisionError

OPERATIONS = (  # in the order of RandAugment of tf-models-official
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "Color", "Contrast"),
    *("Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY", "Cutout", "SolarizeAdd"),
)
_EITHER_WAY = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
_GREY = 128  # what appears at the edges and under Cutout
_HIGHEST = 10  # level of all operations

SubPolicy = Sequence[tuple[str, float, float]]  # name of the operation, probability, level


def auto_augment(
    policy: str | Sequence[SubPolicy] = "v0", cutout_const: float = 100, translate_const: float = 250
) -> Policy:
    """AutoAugment (Cubuk et al., arXiv 1805.09501): one of a policy's sub-policies per image, as a Photometric.

    Args:
        policy: "v0" (ImageNet), "reduced_imagenet", "reduced_cifar10", "svhn", "vit", "simple", "test" or
            "panoptic_deeplab_policy" of tf-models-official; or sub-policies like `[[("Equalize", 0.8, 1)], ...]`:
            operation, probability, level from 0 to 10.
        cutout_const: half the side of Cutout's square at level 10, in pixels.
        translate_const: largest translation, at level 10, in pixels; the default is for ImageNet.

    Raises:
        KerasVisionError: tf-models-official is not installed, or the policy is unknown or holds operations that
            change boxes or draw numbers outside of TensorFlow.
    """
    _check_consts(cutout_const, translate_const)
    official = _official()
    named = official.AutoAugment().available_policies
    if isinstance(policy, str):
        usable = [name for name, rows in named.items() if all(row[0] in OPERATIONS for part in rows for row in part)]
        if policy not in usable:
            raise KerasVisionError(f"policy={policy!r}; accepted: {', '.join(usable)}, or a list of sub-policies.")
    sub_policies = named[policy] if isinstance(policy, str) else policy
    operation = functools.partial(_operation, official, cutout_const=cutout_const, translate_const=translate_const)
    parts = [[(operation(name, level), probability(name, rate)) for name, rate, level in part] for part in sub_policies]
    if not parts:
        raise KerasVisionError(f"policy={policy!r} has no sub-policy; give one or more.")
    return Policy(tuple(map(tuple, parts)))


def rand_augment(
    layers: int = 2,
    magnitude: float = 10.0,
    cutout_const: float = 40.0,
    translate_const: float = 100.0,
    rate: float = 1.0,
    exclude: Sequence[str] = (),
) -> Policy:
    """RandAugment (arXiv 1909.13719) of tf-models-official: `layers` operations, each any of 16 or none.

    Keras has its own, with other operations: `keras_photometric(keras.layers.RandAugment())`.

    Args:
        layers: number of operations in a row, N in the paper.
        magnitude: level of all operations, 0 to 10, M in the paper.
        cutout_const: half the side of Cutout's square at level 10, in pixels.
        translate_const: largest translation, at level 10, in pixels.
        rate: probability that an operation is applied.
        exclude: operations to leave out.

    Raises:
        KerasVisionError: tf-models-official is not installed, or an argument makes no sense.
    """
    count("layers", layers, 1)
    probability("rate", rate)
    unknown = sorted({*exclude} - {*OPERATIONS})
    if unknown:
        raise KerasVisionError(f"exclude has {unknown}; accepted: {', '.join(OPERATIONS)}.")
    _check_consts(cutout_const, translate_const)
    official = _official()
    kept = [name for name in OPERATIONS if name not in exclude]
    made = [_operation(official, name, magnitude, cutout_const, translate_const) for name in kept]
    return Policy((*(((operation, rate),) for operation in made), ()), layers)


@dataclasses.dataclass(frozen=True)
class Policy:
    """Draws one sub-policy and applies its operations in turn, `repeats` times: `(pixels, seed) -> pixels`.

    Pixels are float32 `(h, w, 3)` in 0–255; they are rounded to whole grey levels.

    Attributes:
        sub_policies: sequences of operations, each with its probability.
        repeats: number of sub-policies drawn per image.
    """

    sub_policies: tuple[tuple[tuple[_Operation, float], ...], ...]
    repeats: int = 1

    @property
    def moves_pixels(self) -> bool:
        """Whether an operation moves pixels: then it is not for images with masks."""
        return any(operation.name in _EITHER_WAY for part in self.sub_policies for operation, _ in part)

    def __call__(self, pixels: Any, seed: Any) -> Any:
        image = tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)
        for turn in tf.unstack(tf.random.split(seed, self.repeats)):
            which, draws = tf.unstack(tf.random.split(turn, 2))
            index = tf.random.stateless_uniform([], which, 0, len(self.sub_policies), tf.int32)
            ways = [functools.partial(_applied, part, image, draws) for part in self.sub_policies]
            image = tf.ensure_shape(tf.switch_case(index, ways), pixels.shape)
        return tf.cast(image, tf.float32)


def _applied(part: Sequence[tuple[_Operation, float]], image: Any, seed: Any) -> Any:
    for number, (operation, rate) in enumerate(part):
        chance, draws = tf.unstack(tf.random.split(tf.random.fold_in(seed, number), 2))
        change = functools.partial(operation, image, draws)
        image = tf.cond(tf.random.stateless_uniform([], chance) < rate, change, functools.partial(tf.identity, image))
    return image


@dataclasses.dataclass(frozen=True)
class _Operation:
    """An operation of tf-models-official at one level: uint8 `(h, w, 3)`, seed `(2,)` -> uint8."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[float, ...]

    def __call__(self, image: Any, seed: Any) -> Any:
        if self.name == "Cutout":
            half = int(self.arguments[0])
            return (
                tf.cast(Cutout(2 * half, float(_GREY))(tf.cast(image, tf.float32), seed), tf.uint8) if half else image
            )
        if self.name in _EITHER_WAY:
            back = tf.random.stateless_uniform([], seed) < 0.5
            return self.function(image, tf.where(back, -self.arguments[0], self.arguments[0]), [_GREY] * 3)
        return self.function(image, *self.arguments)


def _operation(official: Any, name: str, level: float, cutout_const: float, translate_const: float) -> _Operation:
    if name not in OPERATIONS:
        raise KerasVisionError(f"operation {name!r}; accepted: {', '.join(OPERATIONS)}.")
    if not 0 <= level <= _HIGHEST:
        raise KerasVisionError(f"level {level!r} of {name}; give a number from 0 to {_HIGHEST}.")
    with tf.init_scope():  # some levels become tensors with a direction drawn from TensorFlow's global state
        arguments = official.level_to_arg(cutout_const, translate_const)[name](level)
        sizes = tuple(abs(float(value)) if name in _EITHER_WAY else value for value in arguments)
    return _Operation(name, official.NAME_TO_FUNC[name], sizes)


def _check_consts(cutout_const: float, translate_const: float) -> None:
    at_least("cutout_const", cutout_const, 0)
    at_least("translate_const", translate_const, 0)


def _official() -> Any:
    try:
        return importlib.import_module("official.vision.ops.augment")
    except ImportError as error:
        raise KerasVisionError(
            f"these policies are those of tf-models-official, which cannot be imported ({error}); "
            'pip install "keras-vision[models]" (Python below 3.13, TensorFlow 2.20).'
        ) from error

"""What a recipe says, as one frozen value, and settings from the command line in the place of its own."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from keras_vision.errors import KerasVisionError

OPTIMIZERS = ("sgd", "rmsprop", "adam")
SCHEDULES = ("constant", "step", "exponential", "poly", "cosine", "plateau")
AUGMENTATIONS = ("none", "alexnet", "cifar", "inception", "vgg")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
SHORT = {"lr": "learning_rate", "batch": "batch_size"}
_IDENTITY = ("name", "result")  # say what a recipe is, and are no settings of it
AnyRecipe = TypeVar("AnyRecipe", bound="Settings")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What every training run has to say: model, optimizer, schedule, decay.

    Attributes:
        name: of the recipe.
        result: what it is to reach, and where that is printed.
        model: name of the model; `model_settings` are further keywords of its constructor.
        data: data set that the result is of.
        epochs: in all.
        batch_size: images per update of the weights, of all replicas together.
        accumulation: parts that a batch is computed in, one after the other; their gradients are averaged.
        optimizer: one of `OPTIMIZERS`; `momentum` is of the first two, `nesterov` of the first, `epsilon` of the
            others. RMSProp's decay is 0.9.
        learning_rate: the highest.
        schedule: one of `SCHEDULES`. "step": times `decay_rate` after each of `decay_epochs`. "exponential": times
            `decay_rate` every `decay_every` epochs. "poly": to 0 with `power`. "cosine": up for a tenth of the steps,
            then down to 0. "plateau": times `decay_rate` after `patience` epochs without a better validation accuracy,
            at most `drops` times.
        warm_up_rate: learning rate of the first `warm_up_steps` updates, of "step".
        rates: name prefix of layers to the factor of their learning rate; others have 1.
        bias_rate: further factor of the learning rate of biases.
        weight_decay: factor of the decay. As in the papers it is the gradient of an L2 penalty, `weight_decay / 2`
            times the sum of squares, and goes through momentum; with `decoupled`, Keras' own `weight_decay`, which
            takes `learning_rate * weight_decay` of each weight away beside the update.
        decay_all: also decay biases and what norms learn; else kernels alone.
        clip: largest norm of the gradient of all weights, on each replica.
        precision: one of `PRECISIONS`.
        seed: of weights, order and augmentation.

    Raises:
        KerasVisionError: settings that make no sense, or do not go together.
    """

    name: str
    result: str
    model: str
    data: str
    epochs: int
    batch_size: int
    learning_rate: float
    model_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    accumulation: int = 1
    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    epsilon: float = 1e-7
    schedule: str = "constant"
    decay_epochs: tuple[float, ...] = ()
    decay_every: float = 1.0
    decay_rate: float = 0.1
    power: float = 1.0
    patience: int = 5
    drops: int = 3
    warm_up_rate: float | None = None
    warm_up_steps: int = 0
    rates: Mapping[str, float] = dataclasses.field(default_factory=dict)
    bias_rate: float = 1.0
    weight_decay: float = 0.0
    decoupled: bool = False
    decay_all: bool = True
    clip: float | None = None
    precision: str = "float32"
    seed: int = 0

    _CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = dict(
        optimizer=OPTIMIZERS, schedule=SCHEDULES, precision=PRECISIONS
    )
    _ABOVE_0: ClassVar[tuple[str, ...]] = (
        "learning_rate", "decay_rate", "decay_every", "epsilon", "power", "warm_up_rate", "clip", "bias_rate",
    )  # fmt: skip
    _FROM_1: ClassVar[tuple[str, ...]] = ("epochs", "batch_size", "accumulation", "patience")
    _SHARES: ClassVar[tuple[str, ...]] = ("momentum",)
    _FROM_0: ClassVar[tuple[str, ...]] = ("weight_decay", "warm_up_steps", "drops", "seed")

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        self._check_together()

    @property
    def step_images(self) -> int:
        """Images that are computed at a time, on all replicas together."""
        return self.batch_size // self.accumulation

    def _check_choices(self) -> None:
        for field, choices in self._CHOICES.items():
            if getattr(self, field) not in choices:
                raise KerasVisionError(f"{field}={getattr(self, field)!r}; accepted: {', '.join(choices)}.")

    def _check_numbers(self) -> None:
        for field in self._ABOVE_0:
            value = getattr(self, field)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise KerasVisionError(f"{field}={value!r}; give a finite number above 0.")
        for field in self._FROM_1:
            if getattr(self, field) < 1:
                raise KerasVisionError(f"{field}={getattr(self, field)!r}; give a whole number from 1.")
        for field in self._SHARES:
            value = getattr(self, field)
            if value is not None and not 0 <= value < 1:
                raise KerasVisionError(f"{field}={value!r}; give a share, from 0 to below 1.")
        for field in self._FROM_0:
            if not (math.isfinite(getattr(self, field)) and getattr(self, field) >= 0):
                raise KerasVisionError(f"{field}={getattr(self, field)!r}; give 0 or above.")
        if not all(math.isfinite(factor) and factor > 0 for factor in self.rates.values()):
            raise KerasVisionError(f"rates={dict(self.rates)}; give factors above 0.")

    def _check_together(self) -> None:
        if self.batch_size % self.accumulation:
            raise KerasVisionError(
                f"accumulation={self.accumulation} does not divide batch_size={self.batch_size} into equal parts."
            )
        if list(self.decay_epochs) != sorted(set(self.decay_epochs)) or any(at <= 0 for at in self.decay_epochs):
            raise KerasVisionError(f"decay_epochs={self.decay_epochs}; give rising numbers of epochs above 0.")
        if (self.warm_up_rate is None) != (not self.warm_up_steps) or (self.warm_up_steps and self.schedule != "step"):
            raise KerasVisionError(
                f"warm_up_rate={self.warm_up_rate}, warm_up_steps={self.warm_up_steps}, schedule={self.schedule!r}; "
                "give a rate and its steps, and the schedule 'step'; or neither."
            )
        if (self.rates or self.bias_rate != 1) and (self.schedule == "plateau" or self.clip is not None):
            raise KerasVisionError(
                "rates and bias_rate go neither with schedule='plateau' nor with clip: they need one optimizer."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """All settings of one training run of a classifier.

    Attributes:
        size: side of the square input, in pixels; `resize_shorter` is the length of an evaluated image's shorter side
            before the crop, None for the model's own share.
        sizes: sides of the input that epochs take in turn, for models that take any size: images are shown at `size`
            and then resized. Empty for `size` alone.
        pixel_std: what each channel is divided by, in place of the standard deviation of the model's preprocessing;
            empty for the model's own.
        label_smoothing: share of the labels that goes to all classes alike.
        label_noise: share of the training images whose class becomes one of the others, at random by the seed.
        auxiliary_weight: of each side classifier's loss, where the model has some.
        average: decay of a running average of the weights, which evaluation uses; None for none.
        augment: one of `AUGMENTATIONS`, with `augment_settings` as its keywords.
        protocol: views of an image in the evaluation at the end, a name in `keras_vision.evaluation.PROTOCOLS`.
        sync_batch_norm: statistics over all replicas.
        start: weights to start from: a path, or a name of the model's card; None for random ones.
        stage_model: model that is trained before with the same settings; its `stage_layers` are where this one starts.

    Raises:
        KerasVisionError: settings that make no sense, or do not go together.
    """

    size: int = 224
    resize_shorter: int | None = None
    sizes: tuple[int, ...] = ()
    pixel_std: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    label_noise: float = 0.0
    auxiliary_weight: float = 0.0
    average: float | None = None
    augment: str = "none"
    augment_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    protocol: str = "single"
    sync_batch_norm: bool = False
    start: str | None = None
    stage_model: str | None = None
    stage_layers: tuple[str, ...] = ()

    _CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {**Settings._CHOICES, "augment": AUGMENTATIONS}
    _FROM_1: ClassVar[tuple[str, ...]] = (*Settings._FROM_1, "size")
    _SHARES: ClassVar[tuple[str, ...]] = (*Settings._SHARES, "label_smoothing", "label_noise", "average")
    _FROM_0: ClassVar[tuple[str, ...]] = (*Settings._FROM_0, "auxiliary_weight")

    def _check_together(self) -> None:
        super()._check_together()
        if bool(self.stage_model) != bool(self.stage_layers):
            raise KerasVisionError("stage_model and stage_layers go together.")
        if any(side < 1 for side in self.sizes):
            raise KerasVisionError(f"sizes={self.sizes}; give sides in pixels, at least 1.")
        if not all(math.isfinite(std) and std > 0 for std in self.pixel_std):
            raise KerasVisionError(f"pixel_std={self.pixel_std}; give a finite number above 0 for each channel.")


def with_settings(recipe: AnyRecipe, pairs: Sequence[str]) -> AnyRecipe:
    """The recipe with "key=value" texts in the place of its own settings, each read as its field's type.

    Args:
        recipe: to begin with.
        pairs: keys are names of fields, or "lr" and "batch"; tuples and mappings are JSON, "none" is None.

    Raises:
        KerasVisionError: no such setting, or a value that it cannot have.
    """
    hints = typing.get_type_hints(type(recipe))
    known = [field.name for field in dataclasses.fields(recipe) if field.name not in _IDENTITY]
    changes = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        field = SHORT.get(key, key)
        if not equals or field not in known:
            near = difflib.get_close_matches(key, [*known, *SHORT], n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
            raise KerasVisionError(f"--set {pair}: {'no setting ' + repr(key) if equals else 'no ='}. {hint}")
        changes[field] = _read(field, text, hints[field])
    return dataclasses.replace(recipe, **changes)


def _read(field: str, text: str, hint: Any) -> Any:
    kinds = [kind for kind in typing.get_args(hint) or (hint,) if kind is not type(None)]
    kind = typing.get_origin(hint) if typing.get_origin(hint) in (tuple, Mapping) else kinds[0]
    if type(None) in typing.get_args(hint) and text.lower() == "none":
        return None
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind is tuple:
            values = json.loads(text)
            of = next((kind for kind in (float, int) if kind in kinds), str)
            return tuple(of(value) for value in values)
        if kind is Mapping:
            return dict(json.loads(text))
        return kind(text)
    except (ValueError, KeyError, TypeError) as error:
        accepted = {bool: "true or false", tuple: "a JSON list", int: "a whole number", float: "a number"}
        raise KerasVisionError(f"--set {field}={text}; give {accepted.get(kind, 'a JSON object')}.") from error

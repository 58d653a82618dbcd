"""DRAW, the deep recurrent attentive writer (Gregor et al., 2015): Table 3, and sections 2 and 3.

An encoder and a decoder, both LSTMs, draw an image in T steps: what is still missing is read, a code z is drawn from a
normal distribution, and what the decoder writes is added to a canvas, whose sigmoid is the image.

Deviations: initial states and canvas are zero unless `learned_start`; the paper's are learned (from memory). Table 3
has no row for two digits; this one is that of MNIST on 60 x 60 pixels. Adam, and clipped gradients, are in the recipes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from keras_vision.errors import KerasVisionError
from keras_vision.generative.draw_cell import DRAWCell, DRAWStart, StandardNormal
from keras_vision.generative.nats import BernoulliNats, GivenNats, LatentNats, checked_images
from keras_vision.model import VisionModel
from keras_vision.registry import ModelCard, Paper
from keras_vision.runtime.generator import Drawing, standard_codes
from keras_vision.runtime.preprocessing import Preprocessing

TABLE: dict[str, dict[str, Any]] = {  # Table 3
    #                          image             T         LSTM       z          read     write
    "mnist": dict(image_shape=(28, 28, 1), steps=64, units=256, codes=100, read=2, write=5),
    "two_digits": dict(image_shape=(60, 60, 1), steps=64, units=256, codes=100, read=2, write=5),
    "svhn": dict(image_shape=(54, 54, 3), steps=32, units=800, codes=100, read=12, write=12),
    "cifar10": dict(image_shape=(32, 32, 3), steps=64, units=400, codes=200, read=5, write=5),
}
PAPER = Paper(
    title="DRAW: A Recurrent Neural Network For Image Generation",
    authors="Gregor, Danihelka, Graves, Rezende, Wierstra",
    year=2015,
    arxiv="1502.04623",
)
DEVIATIONS = ("initial states and canvas are zero, unless learned_start",)


@keras.saving.register_keras_serializable("keras_vision")
class DRAWModel(VisionModel):
    """What `DRAW` returns: images `(n, B, A, c)` in [0, 1] to "canvas", logits of that shape, and "kl", nats `(n,)`."""

    @property
    def cell(self) -> DRAWCell:
        """The recurrent cell, whose `decoder` and `write` draw."""
        return self.get_layer("draw").cell

    @property
    def steps(self) -> int:
        """T."""
        return self.get_layer("noise").steps

    @functools.cached_property
    def generator(self) -> keras.Model:
        """From codes `(n, T, z)` to logits after each step `(n, T, B, A, c)` and the decoder's h `(n, T, units)`."""
        z = keras.Input((self.steps, self.cell.codes), name="z", dtype="float32")
        canvas, *states = self.get_layer("start")(z)
        recurrence = layers.RNN(self.cell.decoder, return_sequences=True, dtype="float32", name="decoder")
        hidden = recurrence(z, initial_state=states[2:])
        return keras.Model(z, {"canvases": self.canvases_of(hidden, canvas), "hidden": hidden}, name="generator")

    @functools.cached_property
    def posterior(self) -> keras.Model:
        """From images and noise `(n, T, z)` to the cell's outputs `(n, T, 2 z + units)`, canvas and canvases."""
        image = keras.Input(self.cell.image_shape, name="image")
        noise = keras.Input((self.steps, self.cell.codes), name="noise")
        start = self.get_layer("start")(image)
        outputs, _, canvas, *_ = self.get_layer("draw")(noise, initial_state=[self.get_layer("pixels")(image), *start])
        found = dict(outputs=outputs, canvas=self.get_layer("canvas")(canvas))
        return keras.Model([image, noise], found, name="posterior")

    def generate(self, n: int, seed: int | None = None, steps: bool = False) -> np.ndarray:
        """New images: probabilities `(n, B, A, c)`, or those after each step `(n, T, B, A, c)`.

        Args:
            n: how many.
            seed: of the codes, which `codes_of` gives; None draws others each time.
            steps: whether to keep the canvas of each step.

        Raises:
            KerasVisionError: none are asked for.
        """
        canvases = self.draw(self.codes_of(n, seed)).canvases
        return canvases if steps else canvases[:, -1]

    def codes_of(self, n: int, seed: int | None = None) -> np.ndarray:
        """Codes from the standard normal distribution, `(n, T, z)`, the same for a seed on every system.

        Raises:
            KerasVisionError: none are asked for.
        """
        return standard_codes(self.steps, n, self.cell.codes, seed)

    def draw(self, codes: Any) -> Drawing:
        """The drawing of codes `(n, T, z)`."""
        found = self.generator.predict(np.asarray(codes, np.float32), batch_size=64, verbose=0)
        return self._drawing(found["canvases"], found["hidden"])

    def reconstruct(self, images: Any, seed: int | None = None, steps: bool = False) -> np.ndarray:
        """Images drawn after given ones: probabilities `(n, B, A, c)`, or those after each step `(n, T, B, A, c)`.

        Args:
            images: `(n, B, A, c)` in [0, 1].
            seed: of the noise.
            steps: whether to keep the canvas of each step.

        Raises:
            KerasVisionError: another shape, or values outside [0, 1].
        """
        pixels = checked_images(images, self.cell.image_shape)
        noise = self.codes_of(len(pixels), seed)
        outputs = self.posterior.predict([pixels, noise], batch_size=64, verbose=0)["outputs"]
        codes = self.cell.codes
        mean, log_sigma = outputs[..., :codes], outputs[..., codes : 2 * codes]
        canvases = self.draw(mean + np.exp(log_sigma) * noise).canvases
        return canvases if steps else canvases[:, -1]

    def canvases_of(self, hidden: Any, first: Any) -> Any:
        """Logits after each step, from the decoder's h `(n, T, units)` and the first canvas: one product for all."""
        cell = self.cell
        written = cell.write(ops.reshape(hidden, (-1, cell.units)))
        written = ops.reshape(written, (-1, self.steps, *cell.image_shape))
        return ops.cumsum(written, axis=1) + ops.reshape(first, (-1, 1, *cell.image_shape))

    def _drawing(self, logits: np.ndarray, hidden: np.ndarray) -> Drawing:
        canvases = np.asarray(ops.convert_to_numpy(ops.sigmoid(logits)))
        if self.cell.patches[1] is None:
            return Drawing(canvases, None)
        seen = self.cell.write.window(hidden.reshape(-1, hidden.shape[-1]))
        y, x, stride, variance = (ops.convert_to_numpy(value) for value in seen[:4])
        windows = np.stack([y, x, stride, np.sqrt(variance)], axis=-1)
        return Drawing(canvases, windows.reshape(*hidden.shape[:2], 4))


def DRAW(
    row: str = "mnist",
    *,
    image_shape: tuple[int, int, int] | None = None,
    steps: int | None = None,
    units: int | None = None,
    codes: int | None = None,
    read: int | None = None,
    write: int | None = None,
    attention: bool = True,
    learned_start: bool = False,
    unroll: bool = False,
    seed: int | None = None,
    name: str = "DRAW",
) -> DRAWModel:
    """DRAW as a functional model, over one `keras.layers.RNN`.

    Args:
        row: of Table 3, a name in `TABLE`, whose values the next six take the place of.
        image_shape: height, width, channels.
        steps: T, glimpses.
        units: of each LSTM.
        codes: dimensions of z in each step.
        read, write: sides of the patches, in filters.
        attention: False reads and writes whole images.
        learned_start: whether the first canvas and states are weights; else they are 0.
        unroll: whether the steps are laid out one after the other in place of a loop. On two cores a training step of
            100 digits and 16 glimpses takes 0.10 s, and 0.12 in a loop; its first one takes twice as long.
        seed: of the noise in training.
        name: of the model.

    Returns:
        A `DRAWModel`, to compile with `nats()` as its loss; the loss is the bound in nats per image. Under a mixed
        precision policy the LSTMs are in half precision, attention, canvas and codes in float32.

    Raises:
        KerasVisionError: no such row, no steps, a patch of one filter, or larger than the image.

    Source: Equations 3 to 8 and 12.
    """
    settings = _settings(row, image_shape, steps, units, codes, read, write, attention)
    steps = settings.pop("steps")
    cell = DRAWCell(**settings, name="cell")
    image = keras.Input(cell.image_shape, name="image")
    noise = StandardNormal(steps, cell.codes, seed, name="noise")(image)
    pixels = layers.Flatten(name="pixels", dtype="float32")(image)
    start = DRAWStart(cell.state_size[0], cell.units, learned_start, name="start")(image)
    recurrence = layers.RNN(cell, return_sequences=True, return_state=True, unroll=unroll, dtype="float32", name="draw")
    outputs, _, canvas, *_ = recurrence(noise, initial_state=[pixels, *start])
    canvas = layers.Reshape(cell.image_shape, name="canvas", dtype="float32")(canvas)
    model = DRAWModel(image, {"canvas": canvas, "kl": LatentNats(cell.codes, name="kl")(outputs)}, name=name)
    return model.with_card(_card(model, row))


def nats() -> dict[str, keras.losses.Loss]:
    """The losses of a `DRAW` by output: their sum is the bound, in nats per image."""
    return {"canvas": BernoulliNats(), "kl": GivenNats()}


def _settings(row: str, *given: Any) -> dict[str, Any]:
    """A row of the table with what is given in the place of its values."""
    if row not in TABLE:
        raise KerasVisionError(f"row={row!r}; accepted: {', '.join(TABLE)}.")
    *changed, attention = given
    settings = dict(TABLE[row])
    settings |= {key: value for key, value in zip(settings, changed, strict=True) if value is not None}
    if not attention:
        settings |= dict(read=None, write=None)
    for key in ("steps", "units", "codes"):
        if not isinstance(settings[key], int) or settings[key] < 1:
            raise KerasVisionError(f"{key}={settings[key]!r}; give a whole number from 1.")
    shape = settings["image_shape"]
    if not isinstance(shape, Sequence) or len(shape) != 3 or min(shape) < 1:
        raise KerasVisionError(f"image_shape={shape!r}; give height, width and channels.")
    settings["image_shape"] = tuple(shape)
    return settings


def _card(model: DRAWModel, row: str) -> ModelCard:
    shape = model.cell.image_shape
    channels = shape[2]
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    color, scale = "L" if channels == 1 else "RGB", dict(mean=(0.0,) * channels, std=(255.0,) * channels)
    pixels = Preprocessing((shape[0], shape[1]), None, color=color, **scale)
    return ModelCard(
        name="DRAW",
        family="draw",
        paper=PAPER,
        table=f"Table 3, {row}",
        parameters=trained,  # the state of the noise is no parameter
        trainable_parameters=trained,
        multiply_adds=None,
        input_shape=shape,
        output="logit",
        preprocessing=pixels,
        deviations=DEVIATIONS,
        task="generation",
    )

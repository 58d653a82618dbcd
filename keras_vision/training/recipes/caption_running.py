"""A recipe of Show, Attend and Tell from photographs to a captioner with its scores; interrupted, it goes on."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vision.captioning import CaptionModel, Objective, ShowAttendTell, Vocabulary, vocabulary_of
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation.captions import caption_scores
from keras_vision.files import whole_file
from keras_vision.training.best_bleu import BestBleu
from keras_vision.training.history_file import HistoryFile
from keras_vision.training.loop import Epochs, train
from keras_vision.training.optimisation import optimizer_of
from keras_vision.training.recipes.caption_data import (
    CaptionParts,
    Inputs,
    NumberedCaptions,
    annotation_file,
    caption_epochs,
    caption_parts,
    fingerprint,
    inputs_of,
    numbered,
    steps_of,
)
from keras_vision.training.recipes.caption_settings import CaptionRecipe
from keras_vision.training.run_folder import HISTORY, claim, finish, keep

TUNED, SAID = "history_tuned.csv", "captions.json"
_DECODED = 64  # images that captions are made of at a time


def run_caption_recipe(
    recipe: CaptionRecipe,
    data: str | os.PathLike,
    out: str | os.PathLike,
    *,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    overwrite: bool = False,
    every: float = 600.0,
) -> Mapping[str, Any]:
    """Train a captioner and score it; what metrics.json holds.

    `out` then holds run.json, history.csv, history_tuned.csv (of encoder and decoder together), model.keras,
    captions.json (what it says of each test image) and metrics.json: BLEU-1 to 4 with and without the brevity penalty,
    METEOR, and what was left out of the data. While training it holds checkpoints/, with the annotation vectors.

    Args:
        recipe: settings.
        data: folder with what `recipe.listing` names.
        out: folder to write.
        strategy: of one device; None for the current one.
        callbacks: further Keras callbacks, of the decoder's training.
        overwrite: start anew if the folder holds a run.
        every: seconds between snapshots within an epoch.

    Raises:
        KerasVisionError: no data set, settings that do not fit, several devices, a folder that holds something else,
            another run or a finished one; and see `train`.
    """
    strategy, out = strategy or tf.distribute.get_strategy(), Path(out)
    if strategy.num_replicas_in_sync > 1:
        raise KerasVisionError("captions are trained on one device; leave --strategy out.")
    parts = caption_parts(recipe.listing, data, recipe.held_out, recipe.split_seed)
    texts = [text for of_image in parts.training.captions for text in of_image]
    vocabulary = vocabulary_of(texts, recipe.vocabulary, recipe.least)
    keras.utils.set_random_seed(recipe.seed)
    model = network(recipe, vocabulary)
    products = (TUNED, SAID)
    folder = claim(
        out, dataclasses.asdict(recipe), fingerprint(parts), strategy, products=products, overwrite=overwrite
    )
    run = _Run(recipe, model, vocabulary, parts, folder, out)
    run.train_decoder(callbacks, every)
    run.tune(every)
    plain = network(dataclasses.replace(recipe, start=None), vocabulary)  # without optimizers
    plain.set_weights(model.get_weights())
    keep(out, plain.with_card(model.card))
    outcome = run.measured()
    finish(out, outcome)
    return outcome


def network(recipe: CaptionRecipe, vocabulary: Vocabulary) -> CaptionModel:
    """The network of a recipe, with the objective that it learns by."""
    model = ShowAttendTell(
        vocabulary.words,
        encoder=recipe.encoder,
        tap=recipe.tap,
        weights=recipe.start,
        input_shape=(recipe.size, recipe.size, 3),
        seed=recipe.seed,
        **recipe.model_settings,
    )
    model.objective = model.decoder.objective = Objective(recipe.penalty, recipe.reinforce, recipe.entropy)
    return model


class _Run:
    """What the stages of a run share."""

    def __init__(
        self, recipe: CaptionRecipe, model: CaptionModel, vocabulary: Vocabulary, parts: CaptionParts, folder: Path,
        out: Path,
    ):  # fmt: skip
        self.recipe, self.model, self.vocabulary, self.folder, self.out = recipe, model, vocabulary, folder, out
        self.training = numbered(parts.training, vocabulary, recipe.longest)
        self.validation = numbered(parts.validation, vocabulary, recipe.longest)
        self.test = numbered(parts.test, vocabulary, recipe.longest)

    def train_decoder(self, callbacks: Sequence[Any], every: float) -> None:
        """The decoder alone, on annotation vectors."""
        recipe, decoder, spec = self.recipe, self.model.decoder, self.model.preprocessing
        kept = {
            name: annotation_file(self.model.encoder, spec, part.sources, self.folder / f"annotations-{name}.npy")
            for name, part in (("training", self.training), ("validation", self.validation))
        }
        epochs = caption_epochs(
            self.training, kept["training"].__getitem__, recipe.batch_size, recipe.seed, bucketed=recipe.bucketed
        )
        steps = steps_of(self.training, recipe.batch_size, recipe.bucketed)
        decoder.compile(optimizer_of(recipe, decoder, steps), jit_compile=False)
        self._stage(
            "decoder", decoder, epochs, recipe.epochs, steps, lambda: kept["validation"], HISTORY, callbacks, every
        )

    def tune(self, every: float) -> None:
        """Encoder and decoder together, every layer."""
        recipe, model = self.recipe, self.model
        if not recipe.tuned_epochs:
            return
        inputs = inputs_of(self.training.sources, model.preprocessing)
        epochs = caption_epochs(self.training, inputs, recipe.tuned_batch, recipe.seed + 1, one_of_each=True)
        model.trainable = True
        model.compile(keras.optimizers.Adam(recipe.tuned_rate, global_clipnorm=recipe.clip), jit_compile=False)
        steps = -(-len(self.training.sources) // recipe.tuned_batch)  # and a few more, of lengths that do not fill one
        self._stage("tuned", model, epochs, recipe.tuned_epochs, steps, self._photographs, TUNED, (), every)

    def _photographs(self) -> np.ndarray:
        """Annotation vectors of the validation images by the encoder as it is now."""
        return encoded(self.model, self.validation)

    def _stage(
        self, name: str, model: keras.Model, epochs: Epochs, count: int, steps: int, annotations: Any, history: str,
        callbacks: Sequence[Any], every: float,
    ) -> None:  # fmt: skip
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        best = BestBleu(
            folder, lambda: said(self.model, annotations(), self.recipe), self.validation.references,
            self.recipe.patience,
        )  # fmt: skip
        train(
            model,
            epochs,
            epochs=count,
            steps_per_epoch=steps,
            callbacks=[best, HistoryFile(self.out / history), *callbacks],
            snapshots=self.folder / f"{name}.npz",
            every=every,
        )
        best.load(model)

    def measured(self) -> dict[str, Any]:
        """Scores on the test images, whose captions are kept beside them."""
        captions = said(self.model, encoded(self.model, self.test), self.recipe, self.recipe.beam)
        scores = caption_scores(self.test.references, captions)
        names = [os.path.basename(str(source)) for source in self.test.sources]
        with whole_file(self.out / SAID, overwrite=True) as temporary:
            told = {name: " ".join(words) for name, words in zip(names, captions, strict=True)}
            temporary.write_text(json.dumps(told, indent=1))
        return dict(
            **{f"bleu{n}": score for n, score in enumerate(scores.bleu, 1)},
            **{f"bleu{n}_unpenalised": score for n, score in enumerate(scores.bleu_unpenalised, 1)},
            meteor=scores.meteor,
            meteor_stages=scores.meteor_stages,
            test_images=scores.captions,
            training_images=len(self.training.sources),
            training_captions=len(self.training),
            vocabulary=len(self.vocabulary),
            left_out={"training": self.training.left_out, "test": self.test.left_out},
            result=self.recipe.result,
        )


def encoded(model: CaptionModel, captions: NumberedCaptions) -> np.ndarray:
    """Annotation vectors of images `(n, L, D)`."""
    inputs: Inputs = inputs_of(captions.sources, model.preprocessing)
    starts = range(0, len(captions.sources), _DECODED)
    batches = (np.arange(start, min(start + _DECODED, len(captions.sources))) for start in starts)
    return np.concatenate([model.encoder.predict_on_batch(inputs(batch)) for batch in batches])


def said(model: CaptionModel, annotations: np.ndarray, recipe: CaptionRecipe, beam: int = 1) -> list[list[str]]:
    """The words of a caption for each image."""
    found = model.tell(annotations, beam=beam, longest=recipe.longest + 1, batch_size=_DECODED)
    return [sentence.split() for sentence in found.sentences]

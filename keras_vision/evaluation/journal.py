"""What an interrupted evaluation goes on from, and what tells it from others."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_vision.data import LabelledImages
from keras_vision.evaluation.protocols import Protocol
from keras_vision.evaluation.result import ImageScore
from keras_vision.journal import Journal
from keras_vision.model import VisionModel


class ScoreJournal(Journal):
    """Scores of finished images.

    Args:
        path: file to go on from, or to begin.
        fingerprint: of the evaluation, as `fingerprint` gives it.

    Attributes:
        done: finished images by index.

    Raises:
        KerasVisionError: as `Journal`.
    """

    def __init__(self, path: str | os.PathLike, fingerprint: str):
        self.done: dict[int, ImageScore] = {}
        super().__init__(path, "evaluate", fingerprint, "models, images or another protocol", self._take)

    def score(self, index: int, score: ImageScore) -> None:
        """Append a finished image."""
        self.done[index] = score
        self.add({"index": index, **dataclasses.asdict(score)})

    def _take(self, values: dict[str, Any]) -> None:
        index = values.pop("index")
        self.done[index] = ImageScore.from_dict(values)


def fingerprint(models: Sequence[VisionModel], protocol: Protocol, images: LabelledImages) -> str:
    """A hash of everything the scores depend on: graphs, cards and weights of the models, views, images and labels."""
    digest = hashlib.sha256(json.dumps(protocol.to_dict()).encode())
    for model in models:
        digest.update(_graph(model).encode())
        for array in model.get_weights():
            digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(images.fingerprint().encode())
    return digest.hexdigest()


def _graph(model: VisionModel) -> str:
    """A model's configuration without what changes from one construction to the next: numbers in names, addresses."""
    numbers = {json.dumps(layer.name): f'"{number}"' for number, layer in enumerate([model, *model.layers])}
    text = re.sub(r'"shared_object_id": \d+', "", model.to_json())
    return re.sub(r'"[^"]*"', lambda match: numbers.get(match[0], match[0]), text)

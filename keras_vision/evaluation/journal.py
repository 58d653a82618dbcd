"""The file that an interrupted evaluation goes on from: one JSON line per finished image."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vision.data import LabelledImages
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation.protocols import Protocol
from keras_vision.evaluation.result import ImageScore
from keras_vision.model import VisionModel

_HEADER = "keras_vision evaluation"


class Journal:
    """Scores of finished images, kept in a file. Each is on disk before the next image is scored.

    Args:
        path: file to go on from, or to begin.
        fingerprint: of the evaluation, as `fingerprint` gives it.

    Attributes:
        done: finished images by index.

    Raises:
        KerasVisionError: the file belongs to another evaluation, is none of these, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike, fingerprint: str):
        self.path = Path(path)
        self.done: dict[int, ImageScore] = {}
        header = json.dumps({_HEADER: fingerprint}) + "\n"
        try:
            whole = self._read(header) if self.path.exists() else 0
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
            self._file.truncate(whole)  # a last line cut off by the interruption
        except OSError as error:
            raise KerasVisionError(f"{path} cannot be written: {error.strerror or error}.") from error
        if not whole:
            self._write(header)

    def add(self, index: int, score: ImageScore) -> None:
        """Append a finished image."""
        self.done[index] = score
        self._write(json.dumps({"index": index, **dataclasses.asdict(score)}) + "\n")

    def close(self) -> None:
        """Close the file; what was added is in it already."""
        self._file.close()

    def _write(self, line: str) -> None:
        self._file.write(line.encode())
        self._file.flush()

    def _read(self, header: str) -> int:
        """Fills `done`; returns the number of bytes up to the end of the last whole line."""
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if not whole and header.encode().startswith(content):
            return 0
        first, *lines = whole.splitlines() or [b""]
        if first + b"\n" != header.encode():
            ours = first.startswith(f'{{"{_HEADER}"'.encode())
            what = "belongs to other models, images or another protocol" if ours else "is no file of an evaluation"
            raise KerasVisionError(f"{self.path} {what}; give another file to resume=, or remove it.")
        try:
            for line in lines:
                values: dict[str, Any] = json.loads(line)
                index = values.pop("index")
                self.done[index] = ImageScore.from_dict(values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise KerasVisionError(f"{self.path} is damaged ({error}); remove it to start anew.") from error
        return len(whole)


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

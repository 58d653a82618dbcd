"""LiteRT model metadata: a flatbuffer that says what the tensors mean, and the labels and card as packed files.

Source: TensorFlow Lite's metadata schema, version 1.5 (tables and field numbers below are its).
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from keras_vision.model import VisionModel
from keras_vision.runtime.predictor import CARD_FILE, LABELS_FILE, SHA256, SIZE
from keras_vision.runtime.preprocessing import Preprocessing

_FIELD = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"
_IMAGE_PROPERTIES, _NORMALIZATION, _AXIS_LABELS, _DESCRIPTIONS = 2, 1, 2, 1  # union and enum members
_COLORS = {"RGB": 1, "L": 2, "BGR": 0, "raw": 0}  # ColorSpaceType; the schema knows no more

Table = Mapping[int, Any]  # field number to value: str, NumPy scalar, float32 array, Table, or list of Tables


def add_metadata(file: Path, model: VisionModel, preprocessing: Preprocessing) -> None:
    """Put metadata, labels and card into a LiteRT file, in place.

    Args:
        file: the file.
        model: gives the card and the labels.
        preprocessing: what is left to do before the file's input.
    """
    content = flatbuffer_utils.read_model(str(file))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(encode(describe(model, preprocessing)), np.uint8)
    entry.name, entry.buffer = _FIELD, len(content.buffers)
    content.buffers.append(buffer)
    content.metadata = [*(content.metadata or []), entry]
    flatbuffer_utils.write_model(content, str(file))
    pack(file, {"card": model.card.to_dict(), "preprocessing": preprocessing.to_dict()}, model.labels)


def pack(file: Path, facts: Mapping[str, Any], labels: Sequence[str] | None = None) -> None:
    """Append card and labels to a LiteRT file as a ZIP archive, with the hash of what was there before.

    Args:
        file: the file.
        facts: for `CARD_FILE`.
        labels: for `LABELS_FILE`.
    """
    content = file.read_bytes()
    whole = {SHA256: hashlib.sha256(content).hexdigest(), SIZE: len(content)}
    packed = {CARD_FILE: json.dumps({**facts, **whole}, indent=1)}
    if labels is not None:
        packed[LABELS_FILE] = "\n".join(labels)
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in packed.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # a fixed date: the same model gives the same bytes


def describe(model: VisionModel, preprocessing: Preprocessing) -> Table:
    """The ModelMetadata table of a model with one image input."""
    card = model.card
    height, width = preprocessing.size
    image = {0: np.uint8(_COLORS[preprocessing.color]), 1: {0: np.uint32(width), 1: np.uint32(height)}}
    lowest = preprocessing.normalize(np.zeros((1, 1, preprocessing.channels), np.uint8))
    highest = preprocessing.normalize(np.full((1, 1, preprocessing.channels), 255, np.uint8))
    normalization = {0: np.array(preprocessing.mean, np.float32), 1: np.array(preprocessing.std, np.float32)}
    input_tensor = {
        0: "image",
        1: f"{preprocessing.color} pixels, (pixel - mean) / std",
        3: {0: np.uint8(_IMAGE_PROPERTIES), 1: image},
        4: [{0: np.uint8(_NORMALIZATION), 1: normalization}],
        5: {0: highest.reshape(-1), 1: lowest.reshape(-1)},
    }
    labels = [{0: LABELS_FILE, 1: "names of the classes", 2: np.int8(_AXIS_LABELS)}] if model.labels is not None else []
    what = "each class" if card.task == "classification" else "each class at each pixel"
    names = sorted(model.output) if isinstance(model.output, dict) else [card.output]
    outputs = [
        {0: name, 1: name if isinstance(model.output, dict) else f"{name} of {what}", 6: labels} for name in names
    ]
    return {
        0: card.name,
        1: f"{card.paper.title} ({card.paper.authors}, {card.paper.year}), {card.table}. Weights: {card.loaded}.",
        3: [{0: "classify" if card.task == "classification" else card.task, 2: [input_tensor], 3: outputs}],
        4: card.paper.authors,
        5: card.licence,
        6: [{0: CARD_FILE, 1: "model card and preprocessing", 2: np.int8(_DESCRIPTIONS)}],
        7: "1.0.0",
    }


def encode(table: Table) -> bytes:
    """A table as a finished flatbuffer."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, table), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, value: Any) -> int:
    """Writes a value that lives behind an offset; children come before their parent."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, list):
        offsets = [_write(builder, item) for item in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    children = {slot: _write(builder, v) for slot, v in value.items() if not isinstance(v, np.generic)}
    builder.StartObject(max(value) + 1)
    for slot, item in value.items():
        if slot in children:
            builder.PrependUOffsetTRelativeSlot(slot, children[slot], 0)
        else:
            prepend = {"uint8": builder.PrependUint8Slot, "int8": builder.PrependInt8Slot}
            prepend.get(item.dtype.name, builder.PrependUint32Slot)(slot, int(item), 0)
    return builder.EndObject()

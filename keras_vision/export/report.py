"""What an exported LiteRT file gains and loses against its Keras model, measured on the machine at hand."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_vision.errors import ExportError
from keras_vision.export.calibration import as_pixels, calibration_images
from keras_vision.export.latency import latencies
from keras_vision.export.layer_errors import layer_errors
from keras_vision.export.litert import to_litert
from keras_vision.export.operations import contents
from keras_vision.export.parity import compare, compare_quantized, measure, required, sample_pixels
from keras_vision.export.portable import portable
from keras_vision.export.running import both_outputs
from keras_vision.model import VisionModel
from keras_vision.runtime.predictor import read_metadata

_LAYERS, _LAYER_IMAGES = 10, 4


@dataclasses.dataclass(frozen=True)
class Report:
    """All about one file.

    Attributes:
        model, file: names.
        form: "float32", "float16", "dynamic" or "int8".
        passed: whether it keeps the bound; `failure` says why not.
        required_agreement: the bound of quantised files, from the card or 98 %; None where the bound is on differences.
        images: how many were compared; `photographs` whether they were given, else they are made up.
        max_difference, mean_difference, output_range: of the outputs, in their unit; None where they are not finite.
        agreement, mean_iu: as of `Parity`.
        size, float_size: bytes of the file and of the float32 file.
        latency, float_latency: number of threads to milliseconds of one image, medians taken in turn.
        fastest: form and threads that were fastest here.
        flex: operations of TensorFlow's own.
        fully_quantised: whether an int8 file computes in integers alone; None for other forms.
        islands: of an int8 file, operations in floating point and how many of each.
        worst_layers: of an int8 file, the layers furthest from the float file and how far (`layer_errors`).
        machine: processor and number of cores.
    """

    model: str
    file: str
    form: str
    passed: bool
    failure: str | None
    required_agreement: float | None
    images: int
    photographs: bool
    max_difference: float | None
    mean_difference: float | None
    output_range: float | None
    agreement: float | None
    mean_iu: float | None
    size: int
    float_size: int
    latency: Mapping[int, float]
    float_latency: Mapping[int, float]
    fastest: str
    flex: Sequence[str]
    fully_quantised: bool | None
    islands: Mapping[str, int]
    worst_layers: Mapping[str, float]
    machine: str

    def to_json(self) -> str:
        """As a JSON document."""
        return json.dumps(dataclasses.asdict(self), indent=1)


def examine(
    model: VisionModel,
    path: str | os.PathLike,
    data: Any = None,
    *,
    images: int = 200,
    agreement: float | None = None,
    threads: Sequence[int] = (1, 2),
    calls: int = 15,
) -> Report:
    """Measure a file of `to_litert` against the model that it was made of.

    Args:
        model: with images as its input.
        path: the file.
        data: photographs to compare on, as of `calibration_images`; None for made-up ones, on which answers are not
            counted.
        images: how many of them.
        agreement: the bound, in place of the card's.
        threads: numbers of threads to take times with.
        calls: of each, of which the median counts.

    Raises:
        ExportError: the file is damaged, or the model draws images.
    """
    if model.card.task == "generation":
        raise ExportError(f"{model.name} takes codes, not images, and has no report.")
    path, model = Path(path), portable(model)
    found = contents(path)
    given = _images(model, data, images)
    in_graph = read_metadata(path)[1] != model.preprocessing
    least = required(model, found.form, agreement)
    parity, failure = _parity(model, path, found.form, given, in_graph, least if data is not None else None, found.flex)
    with tempfile.TemporaryDirectory() as folder:
        reference = path
        if found.form != "float32":
            reference = Path(folder) / "float32.tflite"
            to_litert(model, reference, preprocessing=in_graph, flex=bool(found.flex))
        inputs = list(as_pixels(given[:_LAYER_IMAGES], model.preprocessing, corner=False)) if in_graph else given
        times = {} if found.flex else latencies([reference, path], inputs[0], threads, calls)
        errors = layer_errors(reference, path, inputs[:_LAYER_IMAGES]) if found.form == "int8" else {}
        sizes = path.stat().st_size, reference.stat().st_size
    own, floating = times.get(path, {}), times.get(reference, {})
    return Report(
        model=model.card.name,
        file=path.name,
        form=found.form,
        passed=failure is None,
        failure=failure,
        required_agreement=None if found.form == "float32" or data is None else least,
        images=len(given),
        photographs=data is not None,
        **parity,
        size=sizes[0],
        float_size=sizes[1],
        latency=own,
        float_latency=floating,
        fastest=_fastest({found.form: own, "float32": floating}),
        flex=found.flex,
        fully_quantised=found.fully_quantised if found.form == "int8" else None,
        islands=found.islands if found.form == "int8" else {},
        worst_layers=dict(list(errors.items())[:_LAYERS]),
        machine=f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    )


def _images(model: VisionModel, data: Any, images: int) -> list[Any]:
    if data is not None:
        return calibration_images(data, model, images)
    return list(model.preprocessing.normalize(sample_pixels(model.preprocessing))[:, None])


def _parity(
    model: VisionModel, path: Path, form: str, images: list[Any], in_graph: bool, least: float | None, flex: list[str]
) -> tuple[dict[str, Any], str | None]:
    """The figures of `Parity`, and why the file does not keep its bound."""
    names = "max_difference", "mean_difference", "output_range", "agreement", "mean_iu"
    expected, got = both_outputs(model, path, images, in_graph=in_graph, flex=bool(flex))
    figures, failure = None, None
    try:
        figures = measure(expected, got, model.card, path.name)
        if form == "float32":
            compare(expected, got, path.name)
        else:
            compare_quantized(expected, got, model.card, path.name, least)
    except ExportError as error:
        failure = str(error).replace("; nothing was written", "")
    return {name: getattr(figures, name, None) for name in names}, failure


def _fastest(times: Mapping[str, Mapping[int, float]]) -> str:
    rows = [(ms, f"{form}, {n} thread{'s' if n > 1 else ''}") for form, row in times.items() for n, ms in row.items()]
    return min(rows)[1] if rows else ""

"""Embeddings by Apache Beam: more images than one machine can read, on Flink, Spark, Dataflow or in one process.

    >>> with apache_beam.Pipeline() as pipeline:
    ...     found = pipeline | ReadImages("photos/**") | EmbedImages("features.tflite")
    ...     found.embeddings | WriteEmbeddings("out/vectors.parquet", found.size)
    ...     found.unreadable | WriteUnreadable("out/vectors")

Needs the extra `beam`. Files may lie wherever Beam reads and writes.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_vision.analytics.listing import label_of
from keras_vision.analytics.runners import LiteRTRunner
from keras_vision.analytics.tables import text_of
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.runtime.images import SUFFIXES, open_image
from keras_vision.runtime.preprocessing import Preprocessing

try:
    import apache_beam as beam
    import pyarrow as pa
    from apache_beam.io import fileio
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.metrics import Metrics
    from apache_beam.ml.inference.base import ModelHandler, RunInference
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
except ImportError as error:
    raise KerasVisionError('pipelines need Apache Beam: pip install "keras-vision[beam]".') from error

if TYPE_CHECKING:
    from keras_vision.analytics.embedding import ImageEmbedder

UNREADABLE, EMBEDDED = "unreadable", "embedded"  # they also name the counters of a pipeline's metrics
BATCH = 16  # images of one call of the network


class Found(NamedTuple):
    """What `EmbedImages` gives: rows of vectors, rows of images that could not be read, and a vector's length."""

    embeddings: Any
    unreadable: Any
    size: int


class Prepared(NamedTuple):
    """An image that was read: its name, the SHA-256 of its file, and the network's input, uint8 `(h, w, c)`."""

    path: str
    sha256: bytes
    pixels: np.ndarray


class ReadImages(beam.PTransform):
    """Images by a pattern, as `(name, encoded image)`, or files that are read where they are decoded.

    Args:
        pattern: of image files, such as "photos/**" or "gs://bucket/photos/*.jpg"; hidden files and other suffixes
            are left out. Of `*.tfrecord*` files, the fields `image/filename` and `image/encoded` of each record, as
            `write_shards` writes them; of `*.parquet` files, the columns `path` and `image`.
    """

    def __init__(self, pattern: str):
        super().__init__()
        self._pattern = pattern

    def expand(self, pipeline: Any) -> Any:
        if ".tfrecord" in os.path.basename(self._pattern):
            return pipeline | beam.io.ReadFromTFRecord(self._pattern) | beam.Map(_named_image)
        if self._pattern.endswith(".parquet"):
            rows = pipeline | beam.io.ReadFromParquet(self._pattern, columns=["path", "image"])
            return rows | beam.Map(lambda row: (row["path"] or "", row["image"] or b""))
        files = pipeline | fileio.MatchFiles(self._pattern)
        images = files | beam.Filter(lambda file: is_image(file.path))
        return images | fileio.ReadMatches() | beam.Map(lambda file: (file.metadata.path, file))


class EmbedImages(beam.PTransform):
    """`(name, encoded image)` to rows `path`, `label`, `sha256`, `embedding`, and to rows `path`, `reason`.

    Images are decoded one by one and run in batches of up to 16; each process holds one network, whose interpreters
    of one thread work side by side. An image that cannot be read stops nothing.

    Args:
        network: a `.tflite` file of `ImageEmbedder.export`, where all workers can read it.
        root: folder of the images; the label is the name of the folder that an image lies in, below this one.

    Raises:
        KerasVisionError: the file cannot be read, or gives no features.
    """

    def __init__(self, network: str, root: str | None = None):
        super().__init__()
        opened = open_network(network, 1)
        self.size, self._spec = opened.size, opened.preprocessing
        self._network, self._root = network, root

    def expand(self, images: Any) -> Found:
        prepared = images | beam.ParDo(_Prepare(self._spec)).with_outputs(UNREADABLE, main="prepared")
        rows = prepared.prepared | RunInference(_Network(self._network, self._root))
        return Found(rows, prepared[UNREADABLE], self.size)


class WriteEmbeddings(beam.PTransform):
    """Rows of `EmbedImages` as Parquet or TFRecord files `out-00000-of-00004.parquet`.

    Args:
        path: ends in .parquet or .tfrecord.
        size: of a vector.

    Raises:
        KerasVisionError: another ending.
    """

    def __init__(self, path: str, size: int):
        super().__init__()
        self._prefix, self._suffix = os.path.splitext(path)
        self._size = size
        if self._suffix not in (".parquet", ".tfrecord"):
            raise KerasVisionError(f"{path}: embeddings go to .parquet or .tfrecord files.")

    def expand(self, rows: Any) -> Any:
        if self._suffix == ".tfrecord":
            return rows | beam.Map(_example) | beam.io.WriteToTFRecord(self._prefix, file_name_suffix=".tfrecord")
        columns = [("path", pa.string()), ("label", pa.string()), ("sha256", pa.binary(32))]
        schema = pa.schema([*columns, ("embedding", pa.list_(pa.float32(), self._size))])
        return rows | beam.io.WriteToParquet(self._prefix, schema, codec="zstd", file_name_suffix=".parquet")


class WriteUnreadable(beam.PTransform):
    """Rows of images that could not be read as `out.skipped-00000-of-00001.csv`: columns path and reason."""

    def __init__(self, prefix: str):
        super().__init__()
        self._prefix = prefix

    def expand(self, rows: Any) -> Any:
        lines = rows | beam.Map(_csv_line)
        return lines | beam.io.WriteToText(
            f"{self._prefix}.skipped", file_name_suffix=".csv", header="path,reason", num_shards=1
        )


def embed_files(pattern: str, out: str, network: str, arguments: Sequence[str] = ()) -> tuple[int, int]:
    """Embed the images of a pattern and write the vectors; returns images embedded and images that cannot be read.

    Args:
        pattern: as of `ReadImages`; or a local folder, whose subfolders are the labels.
        out: as of `WriteEmbeddings`.
        network: as of `EmbedImages`.
        arguments: Beam's, such as "--runner=FlinkRunner"; by default all runs in this process.

    Raises:
        KerasVisionError: nothing matches; another ending of `out`; no network of features.
    """
    root = pattern.rstrip("/") if os.path.isdir(pattern) else None
    pattern = f"{glob.escape(root)}/**" if root else pattern
    if not any(match.metadata_list for match in FileSystems.match([pattern], limits=[1])):
        raise KerasVisionError(f"{pattern}: no file matches.")
    embed = EmbedImages(network, root)
    write = WriteEmbeddings(out, embed.size)
    named = any(argument.startswith("--runner") for argument in arguments)
    # Beam's own choice, its DirectRunner, would fetch another program from the network first.
    pipeline = beam.Pipeline(None if named else FnApiRunner(), argv=list(arguments))
    found = pipeline | ReadImages(pattern) | embed
    _ = found.embeddings | write
    _ = found.unreadable | WriteUnreadable(os.path.splitext(out)[0])
    result = pipeline.run()
    result.wait_until_finish()
    counted = {each.key.metric.name: each.committed or each.attempted for each in result.metrics().query()["counters"]}
    return counted.get(EMBEDDED, 0), counted.get(UNREADABLE, 0)


def share_network(embedder: ImageEmbedder, prefix: str) -> str:
    """Where workers find the network of an embedder: its `.tflite` file, or `prefix`.network.tflite, which is written.

    Raises:
        KerasVisionError: the embedder runs in Keras, or the file cannot be written.
    """
    if embedder.backend != "litert":
        raise KerasVisionError(f"backend={embedder.backend!r}; in a pipeline networks run in LiteRT: backend='litert'.")
    if str(embedder.model).endswith(".tflite"):
        return str(embedder.model)
    path = f"{prefix}.network.tflite"
    with tempfile.TemporaryDirectory() as folder:
        runner: Any = embedder.fit().runner_
        local = runner.path  # in the cache
        if not local.is_file():
            local = Path(folder) / "features.tflite"
            embedder.export(local)
        try:
            with FileSystems.create(path) as target:
                target.write(local.read_bytes())
        except (OSError, ValueError) as error:
            raise KerasVisionError(f"{path}: cannot be written ({error}).") from error
    return path


def is_image(path: str) -> bool:
    """Whether a name is that of an image, and not of a hidden file."""
    return path.lower().endswith(SUFFIXES) and not os.path.basename(path).startswith(".")


def open_network(path: str, threads: int) -> LiteRTRunner:
    """A LiteRT file of features from wherever Beam reads.

    Raises:
        KerasVisionError: it cannot be read, or gives no features.
    """
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "features.tflite"
        try:
            with FileSystems.open(path) as source:
                local.write_bytes(source.read())
        except (OSError, ValueError) as error:
            raise KerasVisionError(f"{path}: cannot be read ({error}).") from error
        runner = LiteRTRunner(local, threads)
        runner.open_all()  # before the file goes
        return runner


class _Prepare(beam.DoFn):
    """`(name, encoded image)` to `Prepared`, or to the output for images that cannot be read."""

    def __init__(self, spec: Preprocessing):
        self._spec = spec
        self._unreadable = Metrics.counter("keras_vision", UNREADABLE)

    def process(self, element: tuple[str, Any]) -> Iterator[Any]:
        path, content = element
        try:
            encoded = content if isinstance(content, bytes) else content.read()
            yield Prepared(path, hashlib.sha256(encoded).digest(), self._spec.pixels(open_image(encoded)))
        except (ImageError, OSError) as error:
            self._unreadable.inc()
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            yield beam.pvalue.TaggedOutput(UNREADABLE, {"path": text_of(path), "reason": reason})


class _Network(ModelHandler):
    """The network as Beam's inference transform holds it: once in each process, in batches that Beam makes."""

    def __init__(self, path: str, root: str | None):
        super().__init__(min_batch_size=1, max_batch_size=BATCH)
        self._path, self._root = path, root
        self._embedded = Metrics.counter("keras_vision", EMBEDDED)

    def load_model(self) -> LiteRTRunner:
        return open_network(self._path, os.cpu_count() or 1)

    def run_inference(
        self, batch: Sequence[Prepared], model: LiteRTRunner, inference_args: dict[str, Any] | None = None
    ) -> Iterable[dict[str, Any]]:
        vectors = model(np.stack([each.pixels for each in batch]))
        self._embedded.inc(len(batch))
        return [
            {
                "path": text_of(each.path),
                "label": None if (label := label_of(each.path, self._root)) is None else text_of(label),
                "sha256": each.sha256,
                "embedding": vector.tolist(),
            }
            for each, vector in zip(batch, vectors, strict=True)
        ]

    def get_metrics_namespace(self) -> str:
        return "keras_vision"


def _named_image(record: bytes) -> tuple[str, bytes]:
    from keras_vision.data.examples import named_image  # which needs TensorFlow, on workers that read records

    return named_image(record)


def _example(row: dict[str, Any]) -> bytes:
    from keras_vision.data.examples import vector_example

    return vector_example(row["path"], row["label"], row["sha256"], row["embedding"])


def _csv_line(row: dict[str, str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([row["path"], row["reason"]])
    return line.getvalue()

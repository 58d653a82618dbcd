"""Images as vectors by a trained network: the step that makes a folder of photographs a table for scikit-learn.

    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from keras_vision.analytics import ImageEmbedder
    >>> classifier = make_pipeline(ImageEmbedder("SqueezeNetV1_1"), LogisticRegression(max_iter=1000))

Source: Godec et al., "Democratized image analytics by visual programming", Nature Communications 10 (2019), 4551:
images embedded by the penultimate layer of a public network, classical methods on the vectors.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from keras_vision.analytics.cache import Cache, cache_place
from keras_vision.analytics.opening import BACKENDS, open_runner, write_features
from keras_vision.analytics.reading import Skipped, embed_images
from keras_vision.errors import KerasVisionError

if TYPE_CHECKING:
    from keras_vision.model import VisionModel

Progress = Callable[[int], None]
_NAMED = 5  # files in one message


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """Images and their vectors, row by row.

    Attributes:
        paths: of the images that were read.
        vectors: float32 `(n, d)`.
        content: SHA-256 of each file; equal ones are the same file.
        skipped: the files that could not be read, with the reason.
    """

    paths: list[str]
    vectors: np.ndarray
    content: list[bytes]
    skipped: list[Skipped]


class ImageEmbedder(TransformerMixin, BaseEstimator):
    """Paths of images to vectors, as a scikit-learn transformer that learns nothing.

    Threads read, decode and run the network side by side; memory does not grow with the number of images, but for the
    result itself, and not at all in `stream`. What was computed once is kept on disk by the content of the image and
    the network, so that an interrupted run goes on, and a renamed or copied image costs nothing.

    Args:
        model: a model's name, a `keras_vision` model, a `.keras` file, or a `.tflite` file that `export` wrote.
        weights: with a name: what the model's constructor takes; by default its public weights.
        layer: whose output describes the image; by default the penultimate one (`feature_network`).
        pooling: of a feature map: "avg", "max" or "none".
        backend: "litert", which converts the network once, or "keras".
        cache: True for the user's cache folder, a folder, or False.
        batch_size: images of one task of a thread, and of one call of Keras.
        threads: by default one for each processor.
        unreadable: what `transform` does on images that cannot be read: "raise", or "nan", which fills their rows.

    Source: Godec et al. (2019), "Transfer learning and embedding".
    """

    def __init__(
        self,
        model: str | os.PathLike | VisionModel = "SqueezeNetV1_1",
        weights: str | os.PathLike | None = "default",
        layer: str | None = None,
        pooling: str = "avg",
        backend: str = "litert",
        cache: bool | str | os.PathLike = True,
        batch_size: int = 16,
        threads: int | None = None,
        unreadable: str = "raise",
    ):
        self.model = model
        self.weights = weights
        self.layer = layer
        self.pooling = pooling
        self.backend = backend
        self.cache = cache
        self.batch_size = batch_size
        self.threads = threads
        self.unreadable = unreadable

    def fit(self, X: Any = None, y: Any = None) -> ImageEmbedder:
        """Open the network; the images are not looked at.

        Raises:
            KerasVisionError: an argument cannot be used, or the network cannot.
        """
        if self.backend not in BACKENDS:
            raise KerasVisionError(f"backend={self.backend!r}; accepted: {', '.join(map(repr, BACKENDS))}.")
        if self.unreadable not in ("raise", "nan"):
            raise KerasVisionError(f"unreadable={self.unreadable!r}; accepted: 'raise', 'nan'.")
        if self.batch_size < 1 or (self.threads is not None and self.threads < 1):
            raise KerasVisionError(f"batch_size={self.batch_size}, threads={self.threads}; give at least 1.")
        self.runner_ = open_runner(self)
        return self

    def transform(self, X: Iterable[Any]) -> np.ndarray:
        """Vectors of images, float32 `(n, d)`, in the order of the paths `(n,)` or `(n, 1)`.

        Raises:
            KerasVisionError: an image cannot be read and `unreadable` is "raise".
        """
        if isinstance(X, str | os.PathLike):
            raise KerasVisionError(f"{X}: give a list of paths; `walk_images([folder])` lists a folder.")
        paths = [os.fspath(path) for path in np.asarray(X if hasattr(X, "__len__") else list(X), object).ravel()]
        found = self.embed(paths)
        if found.skipped and self.unreadable == "raise":
            named = "; ".join(f"{each.path}: {each.reason}" for each in found.skipped[:_NAMED])
            more = f"; and {len(found.skipped) - _NAMED} more" if len(found.skipped) > _NAMED else ""
            raise KerasVisionError(
                f"{len(found.skipped)} of {len(paths)} images cannot be read: {named}{more}. Leave them out, or pass "
                "unreadable='nan'."
            )
        rows = dict(zip(found.paths, found.vectors, strict=True))
        missing = np.full(self.n_features, np.nan, np.float32)
        return np.stack([rows.get(path, missing) for path in paths]) if paths else found.vectors

    def embed(self, paths: Iterable[str | os.PathLike], progress: Progress | None = None) -> Embeddings:
        """Vectors of the images that can be read, and the others with the reason.

        Args:
            paths: of files; `walk_images([folder])` lists those of a folder.
            progress: called with the number of files done.
        """
        whole = list(self.stream(paths, progress))
        vectors = [part.vectors for part in whole] or [np.zeros((0, self.n_features), np.float32)]
        return Embeddings(
            [path for part in whole for path in part.paths],
            np.concatenate(vectors),
            [key for part in whole for key in part.content],
            [each for part in whole for each in part.skipped],
        )

    def stream(self, paths: Iterable[str | os.PathLike], progress: Progress | None = None) -> Iterator[Embeddings]:
        """The same in parts of `batch_size` files, in order; paths are taken as they are needed.

        Args:
            paths: of files.
            progress: called with the number of files done; what it raises ends the work.
        """
        runner = self._runner
        threads = self.threads or os.cpu_count() or 1
        cache = Cache(cache_place(self.cache), runner.hash)
        done = 0

        def work(part: Sequence[str]) -> Embeddings:
            return Embeddings(*embed_images(part, runner, cache))

        pool = ThreadPoolExecutor(threads)
        try:
            for found in _in_order(pool, work, paths, self.batch_size, 2 * threads):
                yield found
                done += len(found.paths) + len(found.skipped)
                if progress is not None:
                    progress(done)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            cache.close()

    def export(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Write the network as a LiteRT file of features, which opens in 0.1 s and without TensorFlow.

        Raises:
            KerasVisionError: the file exists, or the model is a LiteRT file already.
        """
        write_features(self, Path(path), overwrite)

    @property
    def n_features(self) -> int:
        """Length d of a vector."""
        return self._runner.size

    @property
    def network_hash(self) -> str:
        """Names the network, its layer and its preprocessing in caches and files: 64 hexadecimal digits."""
        return self._runner.hash

    @property
    def network_name(self) -> str:
        """The model's name."""
        return self._runner.name

    @property
    def _runner(self) -> Any:
        if not hasattr(self, "runner_"):
            self.fit()
        return self.runner_

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """ "n0", "n1", ... as Orange calls them."""
        return np.array([f"n{i}" for i in range(self.n_features)], object)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable, paths: Iterable[str | os.PathLike], size: int, ahead: int
) -> Iterator[Embeddings]:
    """Results of parts of `size` paths, in order; at most `ahead` parts are begun before they are asked for."""
    waiting: deque[Future] = deque()
    given = (os.fspath(path) for path in paths)
    while part := list(islice(given, size)):
        waiting.append(pool.submit(work, part))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()

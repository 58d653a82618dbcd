"""DeepLab's search of the CRF's parameters on held-out images: a coarse grid, then finer ones around the best."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_vision.errors import KerasVisionError
from keras_vision.journal import Journal
from keras_vision.ops.compiler import BuildError
from keras_vision.ops.crf.energy import Bilateral, Gaussian
from keras_vision.ops.crf.held_out import HeldOut
from keras_vision.ops.crf.library import available_memory

Setting = tuple[float, float, float]  # weight, theta_alpha, theta_beta
Grid = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]  # values of weight, theta_alpha and theta_beta
Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class TriedKernel:
    """A setting of the bilateral kernel and the mean IU that it reaches."""

    weight: float
    theta_alpha: float
    theta_beta: float
    score: float


@dataclass(frozen=True)
class DenseCRFFit:
    """What `fit_dense_crf` found.

    Args:
        kernels: the best ones, for `dense_crf(..., kernels=)`.
        score: their mean IU on the held-out images.
        unary_score: the mean IU of the logits alone.
        tried: every setting, in the order of the rounds.
    """

    kernels: tuple[Bilateral, Gaussian]
    score: float
    unary_score: float
    tried: tuple[TriedKernel, ...]


def fit_dense_crf(
    logits: Sequence[Any],
    images: Sequence[Any],
    labels: Sequence[Any],
    *,
    void: int | None = None,
    weights: Iterable[float] = (5, 10),
    theta_alphas: Iterable[float] = range(50, 101, 10),
    theta_betas: Iterable[float] = range(3, 11),
    refinements: int = 1,
    gaussian: Gaussian = Gaussian(),  # noqa: B008 - it cannot be changed
    iterations: int = 10,
    normalization: str = "symmetric",
    from_probabilities: bool = False,
    max_images: int = 100,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = None,
    resume: str | os.PathLike | None = None,
) -> DenseCRFFit:
    """The bilateral kernel (w1, theta_alpha, theta_beta) with the best mean IU on held-out images.

    First every combination of the three ranges is tried; then, `refinements` times, every combination of the best
    value so far and those halfway to its neighbours. At the end of a range the search goes beyond it by half a step.
    The defaults are the paper's ranges, for images of PASCAL VOC's size. Settings are tried side by side in threads;
    the result does not depend on their number. IU counts pixels of all images together, as PASCAL VOC does, and the
    mean is over the classes that occur in `labels`.

    Args:
        logits: of each image, (h, w, classes), as `dense_crf` takes them. Images may differ in size. An array, list or
            any other sequence; its items are read again for each setting.
        images: (h, w, channels), 0-255.
        labels: the truth, whole numbers (h, w).
        void: the label of pixels that do not count.
        weights: values of w1 to begin with.
        theta_alphas: values of theta_alpha, in pixels, to begin with.
        theta_betas: values of theta_beta, in the units of the images, to begin with.
        refinements: rounds after the first, each with half the step.
        gaussian: the other kernel, which stays: w2 and theta_gamma.
        iterations: of mean-field.
        normalization: as of `dense_crf`.
        from_probabilities: `logits` holds probabilities instead.
        max_images: if there are more, so many are drawn. The paper uses 100.
        seed: of that draw.
        workers: settings tried at a time, fewer where memory would not do for so many; None is one for each core.
        progress: called with the number of settings that are done and the number of all, after each of them.
        resume: a file in which finished settings are kept. The same call goes on from there after an interruption, and
            so does one with other ranges, on the same images with the same options.

    Raises:
        KerasVisionError: nothing to score, shapes or labels that do not fit, an empty range, values that `Bilateral`
            or `dense_crf` refuses, or a file that belongs to other images or options.

    Source: DeepLab, section 5, "Training".
    """
    if not isinstance(gaussian, Gaussian):
        raise KerasVisionError(f"gaussian must be a Gaussian(...), not {gaussian!r}.")
    grid = _checked_grid(weights, theta_alphas, theta_betas)
    _check_counts(
        refinements=(refinements, 0), max_images=(max_images, 1), workers=(1 if workers is None else workers, 1)
    )
    options = dict(iterations=iterations, normalization=normalization, from_probabilities=from_probabilities)
    held_out = HeldOut(logits, images, labels, _draw(logits, images, labels, max_images, seed), void, options)
    journal = _SettingJournal(
        resume, "" if resume is None else f"{held_out.fingerprint()} {float(gaussian.weight)} {gaussian.thetas(1)}"
    )
    try:
        tried = _search(_Scorer(held_out, gaussian, workers), grid, refinements, journal, progress)
    finally:
        journal.close()
    best = _best(tried)
    table = tuple(TriedKernel(*setting, score) for setting, score in tried.items())
    return DenseCRFFit((Bilateral(*best), gaussian), tried[best], held_out.score(None), table)


class _SettingJournal(Journal):
    """Scores of finished settings; `done` holds them."""

    def __init__(self, path: str | os.PathLike | None, fingerprint: str):
        self.done: dict[Setting, float] = {}
        super().__init__(path, "fit_dense_crf", fingerprint, "images, labels or options", self._take)

    def score(self, setting: Setting, score: float) -> None:
        self.done[setting] = score
        self.add([*setting, score])

    def _take(self, line: list[float]) -> None:
        weight, theta_alpha, theta_beta, score = map(float, line)
        self.done[weight, theta_alpha, theta_beta] = score


class _Scorer:
    """Scores settings side by side."""

    def __init__(self, held_out: HeldOut, gaussian: Gaussian, workers: int | None):
        self.held_out, self.gaussian = held_out, gaussian
        self.workers = min(workers or os.cpu_count() or 1, _room(held_out))

    def __call__(self, settings: Sequence[Setting]) -> Generator[tuple[Setting, float], None, None]:
        """Settings and scores as they come. Close it, and those at work end at their next image."""
        stop = threading.Event()
        with ThreadPoolExecutor(self.workers) as pool:
            running = {pool.submit(self._score, setting, stop): setting for setting in settings}
            try:
                for future in as_completed(running):
                    yield running[future], future.result()
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)

    def _score(self, setting: Setting, stop: threading.Event) -> float:
        return self.held_out.score((Bilateral(*setting), self.gaussian), stop)


def _room(held_out: HeldOut) -> int:
    """Images at work whose CRFs fit into the memory together: each call compares with all there is for itself."""
    pixels, values = held_out.values
    need = 2400 * pixels + 56 * values  # bytes, at most (`dense_crf`)
    if keras.backend.backend() != "tensorflow":
        return sys.maxsize  # the reference runs, which takes less
    try:
        return max(1, available_memory() // need)
    except BuildError:
        return sys.maxsize


def _search(
    scorer: _Scorer, grid: Grid, refinements: int, journal: _SettingJournal, progress: Progress
) -> dict[Setting, float]:
    """The scores of all rounds' settings."""
    tried: dict[Setting, float] = {}
    varied = 3 ** sum(len(values) > 1 for values in grid)
    for later in range(refinements, -1, -1):
        settings = [s for s in itertools.product(*grid) if s not in tried]
        total = len(tried) + len(settings) + later * (varied - 1)  # a best value near 0 may have one neighbour less
        missing = [s for s in settings if s not in journal.done]
        finished = len(tried) + len(settings) - len(missing)
        with contextlib.closing(scorer(missing)) as scored:
            for number, (setting, score) in enumerate(scored, 1):
                journal.score(setting, score)
                if progress is not None:
                    progress(finished + number, total)
        tried.update((s, journal.done[s]) for s in settings)
        best = _best(tried)
        grid = _halfway(grid[0], best[0]), _halfway(grid[1], best[1]), _halfway(grid[2], best[2])
    return tried


def _best(tried: dict[Setting, float]) -> Setting:
    """The first of the best settings."""
    return max(tried, key=lambda setting: tried[setting])


def _halfway(values: tuple[float, ...], best: float) -> tuple[float, ...]:
    """The best of some rising values, and what lies halfway to its neighbours, or as far where it has none."""
    if len(values) == 1:
        return values
    index = values.index(best)
    steps = [b - a for a, b in itertools.pairwise(values)]
    below, above = steps[max(index - 1, 0)], steps[min(index, len(steps) - 1)]
    return tuple(value for value in (best - below / 2, best, best + above / 2) if value > 0 or value == best)


def _checked_grid(weights: Iterable[float], theta_alphas: Iterable[float], theta_betas: Iterable[float]) -> Grid:
    grid = _rising(weights), _rising(theta_alphas), _rising(theta_betas)
    if not all(grid):
        raise KerasVisionError(f"weights, theta_alphas and theta_betas need at least one value each; given: {grid}.")
    for setting in itertools.product(*grid):
        Bilateral(*setting)  # raises
    return grid


def _rising(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted({float(value) for value in values}))


def _check_counts(**counts: tuple[Any, int]) -> None:
    for what, (number, least) in counts.items():
        if not isinstance(number, int | np.integer) or number < least:
            raise KerasVisionError(f"{what} must be a whole number from {least} on, not {number!r}.")


def _draw(logits: Any, images: Any, labels: Any, most: int, seed: int) -> list[int]:
    counts = len(logits), len(images), len(labels)
    if len(set(counts)) != 1 or not counts[0]:
        raise KerasVisionError(
            f"fit_dense_crf takes as many logits as images and labels, and at least one; given: {counts}."
        )
    if counts[0] <= most:
        return list(range(counts[0]))
    return sorted(np.random.default_rng(seed).choice(counts[0], most, replace=False).tolist())

"""The images of a benchmark, spread over processes."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from keras_vision.errors import KerasVisionError

_AHEAD = 2  # images that wait for each process, so that maps made one by one do not pile up

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_processes(function: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Iterator[Made]:
    """As `map`, by processes that start afresh, and so import no more than the function needs.

    Args:
        function: picklable: of a module, or an instance of a module's class.
        items: picklable; drawn a few ahead of the results.
        workers: processes; 1 works in this one.

    Raises:
        KerasVisionError: fewer than 1 worker; and whatever the function raises.
    """
    if workers < 1:
        raise KerasVisionError(f"workers={workers}; give at least 1 (this machine has {os.cpu_count()} cores).")
    return _ahead(function, items, workers) if workers > 1 else map(function, items)


def _ahead(function: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Iterator[Made]:
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        running: deque[Future[Made]] = deque()
        try:
            for item in items:
                running.append(pool.submit(function, item))
                if len(running) > _AHEAD * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()

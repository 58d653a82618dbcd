"""The loop: images are decoded ahead, scored in a stream, and written down one by one."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from keras_vision.data import LabelledImages
from keras_vision.errors import ImageError, KerasVisionError
from keras_vision.evaluation import protocols
from keras_vision.evaluation.journal import ScoreJournal, fingerprint
from keras_vision.evaluation.networks import Network, check_ensemble
from keras_vision.evaluation.protocols import Protocol
from keras_vision.evaluation.result import Evaluation, ImageScore
from keras_vision.model import VisionModel
from keras_vision.runtime import open_image

_DECODERS = min(8, os.cpu_count() or 1)

Item = TypeVar("Item")
Made = TypeVar("Made")


def evaluate(
    models: VisionModel | Sequence[VisionModel],
    images: LabelledImages,
    protocol: str | Protocol = "single",
    *,
    batch_size: int = 32,
    resume: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Top-1 and top-5 of a classifier, or of an ensemble, on labelled images.

    Class posteriors are averaged over the views of an image and over the models. Each model prepares images by its own
    preprocessing. The memory used does not grow with the number of images, except for each one's five best classes.

    Args:
        models: classifiers with a card; of several outputs the first is taken, logits get a softmax.
        images: paths or arrays with labels. A model's labels, if it has them, say which output each class name means;
            otherwise the class names are in the order of the output.
        protocol: a name in `PROTOCOLS`, or what `keras_vision.evaluation.protocol` returns.
        batch_size: crops per call of a model. Dense views run one by one.
        resume: JSON-lines file in which finished images are kept; the same call goes on where it stopped.
        progress: called with (images done, images in all).

    Raises:
        KerasVisionError: the models, their classes, the protocol and the images do not go together; the file in
            `resume` belongs to another evaluation; or no image could be read.

    Source: averaging over views, VGG (Simonyan & Zisserman, 2014), section 3.2; over networks, section 4.4.
    """
    ensemble = list(models) if isinstance(models, Sequence) else [models]
    rule = protocols.protocol(protocol)
    images = _aligned(images, ensemble, check_ensemble(ensemble))
    if batch_size < 1:
        raise KerasVisionError(f"batch_size={batch_size}; give at least 1.")
    journal = ScoreJournal(resume, fingerprint(ensemble, rule, images)) if resume is not None else None
    with contextlib.closing(journal) if journal else contextlib.nullcontext():
        scores, skipped = _score(ensemble, rule, images, batch_size, journal, progress)
    if not scores:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3])
        raise KerasVisionError(f"none of {len(images)} images could be scored. {reasons}")
    names = tuple(model.card.name for model in ensemble)
    classes = len(images.class_names)
    return Evaluation(names, rule, classes, tuple(scores), (*images.skipped, *skipped))


def _score(
    models: list[VisionModel],
    rule: Protocol,
    images: LabelledImages,
    batch_size: int,
    journal: ScoreJournal | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[ImageScore], list[tuple[str, str]]]:
    """Scores of the readable images and reasons of the others, each in the order of the images."""
    scores = dict(journal.done) if journal else {}
    skipped: dict[int, tuple[str, str]] = {}
    todo = [index for index in range(len(images)) if index not in scores]
    crops = len(todo) * sum(part.count for part in rule.parts if not part.dense)
    networks = [Network(model, rule, min(batch_size, max(crops, 1))) for model in models if todo]
    with contextlib.closing(_posteriors(networks, images.sources, todo)) as stream:
        for index, found in stream:
            name = _name(images.sources[index], index)
            if isinstance(found, ImageError):
                skipped[index] = (name, found.reason)
            else:
                scores[index] = ImageScore.of(name, images.labels[index], found)
                if journal:
                    journal.score(index, scores[index])
            if progress is not None:
                progress(len(scores) + len(skipped), len(images))
    return [scores[i] for i in sorted(scores)], [skipped[i] for i in sorted(skipped)]


def _posteriors(
    networks: list[Network], sources: Sequence[Any], todo: list[int]
) -> Generator[tuple[int, np.ndarray | ImageError]]:
    """Each image's index with its class posteriors `(classes,)`, or with why it cannot be read, as they come."""

    def prepare(index: int) -> list[Any] | ImageError:
        try:
            image = open_image(sources[index])
            return [network.views(image) for network in networks]
        except ImageError as error:
            return error

    expected = sum(network.protocol.count for network in networks)
    sums: dict[int, Any] = defaultdict(float)
    counts: dict[int, int] = defaultdict(int)

    def finished(found: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
        for index, share in found:
            sums[index] += share / len(networks)
            counts[index] += 1
            if counts[index] == expected:
                del counts[index]
                yield index, sums.pop(index)

    for index, stacks in zip(todo, _ahead(prepare, todo), strict=True):
        if isinstance(stacks, ImageError):
            yield index, stacks
            continue
        for network, views in zip(networks, stacks, strict=True):
            yield from finished(network.add(index, views))
    yield from finished(itertools.chain.from_iterable(network.flush() for network in networks))


def _ahead(function: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """As `map`, computed by threads a few items ahead."""
    with ThreadPoolExecutor(_DECODERS) as pool:
        running: deque[Future[Made]] = deque()
        try:
            for item in items:
                running.append(pool.submit(function, item))
                if len(running) > _DECODERS:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _aligned(images: LabelledImages, models: list[VisionModel], classes: int) -> LabelledImages:
    """The images with labels that are indices into the models' output."""
    if not len(images.labels):
        raise KerasVisionError("there are no images to evaluate on.")
    names, skipped = tuple(images.class_names), getattr(images, "skipped", ())
    labels = next((model.labels for model in models if model.labels is not None), None)
    if labels is None and len(names) != classes:
        raise KerasVisionError(
            f"the images have {len(names)} classes and {models[0].name} has {classes}, without labels that would say "
            "which is which; give the images with all class names in the order of the output, or set model.labels."
        )
    if labels in (None, names):
        return LabelledImages(images.sources, np.asarray(images.labels, np.int64), names, skipped)
    if len(set(labels)) != classes:
        raise KerasVisionError(f"two labels of {models[0].name} are the same: they do not say which class is which.")
    if unknown := [name for name in names if name not in labels]:
        raise KerasVisionError(
            f"{unknown[0]!r} is no label of {models[0].name}, nor are {len(unknown) - 1} more of the images' class "
            "names; set model.labels to names that the images use, or to None if they are in the order of the output."
        )
    positions = np.array([labels.index(name) for name in names], np.int64)
    return LabelledImages(images.sources, positions[np.asarray(images.labels)], labels, skipped)


def _name(source: Any, index: int) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else f"image {index}"

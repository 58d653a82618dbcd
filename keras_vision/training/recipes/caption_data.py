"""Captioned photographs to batches: numbers of words, annotation vectors kept on disk, captions of one length."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_vision.captioning import Vocabulary, padded, words_of
from keras_vision.data import CaptionedImages, caption_split, flickr_captions
from keras_vision.data.listings import first_existing
from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file
from keras_vision.runtime.caption_words import UNKNOWN
from keras_vision.runtime.images import open_image
from keras_vision.runtime.preprocessing import Preprocessing
from keras_vision.training.loop import Epochs

_AT_A_TIME = 32  # images that the encoder takes
_ROOTS = ("images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "flickr30k_images", ".")
Inputs = Callable[[np.ndarray], np.ndarray]  # positions of images to what the network takes of them


class CaptionParts(NamedTuple):
    """Of a data set: what is trained on, what selects the best epoch, and what is measured at the end."""

    training: CaptionedImages
    validation: CaptionedImages
    test: CaptionedImages


def caption_parts(listing: str, folder: str | os.PathLike, held_out: int, seed: int) -> CaptionParts:
    """The parts of a data set.

    Args:
        listing: "flickr8k", "flickr30k" or "coco", by `dataset_*.json` in the folder; or "folder", as `flickr_captions`
            reads it, of which `held_out` photographs, chosen by the seed, are validation and test alike.
        folder: of the data set.
        held_out, seed: see there.

    Raises:
        KerasVisionError: not such a folder, or no photographs left to train on.
    """
    if listing != "folder":
        splits = Path(folder) / f"dataset_{listing}.json"
        root = first_existing(folder, _ROOTS, "a folder with the photographs and their splits")
        return CaptionParts(*(caption_split(root, splits, split) for split in ("train", "val", "test")))
    whole = flickr_captions(folder)
    if len(whole) <= held_out:
        raise KerasVisionError(f"{folder}: {len(whole)} photographs, of which {held_out} are held out; lower held_out.")
    order = np.random.default_rng(seed).permutation(len(whole))
    chosen = [np.sort(order[held_out:]), np.sort(order[:held_out])]
    parts = [
        CaptionedImages([whole.sources[i] for i in of], tuple(whole.captions[i] for i in of), whole.skipped)
        for of in chosen
    ]
    return CaptionParts(parts[0], parts[1], parts[1])


@dataclasses.dataclass(frozen=True)
class NumberedCaptions:
    """The captions of images as numbers.

    Attributes:
        sources: the images.
        references: of each image its captions in words, whatever the vocabulary has.
        images: position of each caption's image `(captions,)`.
        numbers: of each caption's words, those that are to be learned.
        left_out: how many captions, images and words are not, by reason.
    """

    sources: Sequence[Any]
    references: list[list[list[str]]]
    images: np.ndarray
    numbers: list[np.ndarray]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.numbers)

    def one_of_each(self, rng: np.random.Generator) -> np.ndarray:
        """A caption of each image, at random: their positions."""
        order = rng.permutation(len(self.numbers))
        return order[np.unique(self.images[order], return_index=True)[1]]


def numbered(images: CaptionedImages, vocabulary: Vocabulary, longest: int) -> NumberedCaptions:
    """The captions of a data set as numbers; empty and long ones, and images without any other, are left out.

    Args:
        images: with captions.
        vocabulary: of the training captions.
        longest: words that a caption may have.

    Raises:
        KerasVisionError: no caption is left.
    """
    texts = [text for of_image in images.captions for text in of_image]
    rows, words = vocabulary.numbers(texts), words_of(texts)
    owner = np.repeat(np.arange(len(images)), [len(of_image) for of_image in images.captions])
    kept = [k for k, row in enumerate(rows) if 0 < len(row) <= longest]
    if not kept:
        raise KerasVisionError(f"none of {len(rows)} captions has from 1 to {longest} words; give a longer `longest`.")
    told = np.unique(owner[kept])
    place = {int(image): position for position, image in enumerate(told)}
    references: list[list[list[str]]] = [[] for _ in told]
    for k, of in enumerate(words):
        if of and int(owner[k]) in place:
            references[place[int(owner[k])]].append(of)
    left_out = {
        "captions without a word": sum(not len(row) for row in rows),
        f"captions of more than {longest} words": sum(len(row) > longest for row in rows),
        "images without a caption": len(images) - len(told) + sum(why == "no caption" for _, why in images.skipped),
        "captioned images without a file": sum(why == "no such file" for _, why in images.skipped),
        "words that the vocabulary lacks": int(sum((rows[k] == UNKNOWN).sum() for k in kept)),
    }
    positions = np.array([place[int(owner[k])] for k in kept])
    return NumberedCaptions([images.sources[i] for i in told], references, positions, [rows[k] for k in kept], left_out)


def annotation_file(encoder: keras.Model, spec: Preprocessing, sources: Sequence[Any], file: Path) -> np.ndarray:
    """The annotation vectors of images `(n, L, D)` float32, mapped from a file, which is written if it is not there.

    Raises:
        ImageError: an image cannot be decoded; no file is left then.
    """
    shape = (len(sources), *encoder.output.shape[1:])
    if not file.exists():
        with whole_file(file) as temporary, temporary.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
            for start in range(0, len(sources), _AT_A_TIME):
                batch = inputs_of(sources, spec)(np.arange(start, min(start + _AT_A_TIME, len(sources))))
                stream.write(np.asarray(encoder.predict_on_batch(batch), "<f4").tobytes())
    return np.load(file, mmap_mode="r", allow_pickle=False)


def inputs_of(sources: Sequence[Any], spec: Preprocessing) -> Inputs:
    """Photographs as the encoder takes them, decoded when they are asked for."""
    return lambda positions: np.stack([spec(open_image(sources[i])) for i in positions])


def buckets(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Positions of captions in batches of one length, in a random order; what is left of a length is a smaller batch.

    Source: section 4.3, where a length is drawn for each batch; here each caption is in one batch of an epoch.
    """
    of_length: dict[int, list[int]] = defaultdict(list)
    for position in rng.permutation(len(lengths)):
        of_length[int(lengths[position])].append(int(position))
    batches = [
        np.array(positions[start : start + batch_size])
        for _, positions in sorted(of_length.items())
        for start in range(0, len(positions), batch_size)
    ]
    return [batches[k] for k in rng.permutation(len(batches))]


def steps_of(captions: NumberedCaptions, batch_size: int, bucketed: bool = True) -> int:
    """Batches of an epoch of all captions."""
    if not bucketed:
        return -(-len(captions) // batch_size)
    _, counts = np.unique([len(row) for row in captions.numbers], return_counts=True)
    return int(np.ceil(counts / batch_size).sum())


def caption_epochs(
    captions: NumberedCaptions, inputs: Inputs, batch_size: int, seed: int, *, bucketed: bool = True,
    one_of_each: bool = False,
) -> Epochs:  # fmt: skip
    """What `train` takes: inputs and words, and the words to come; each epoch in an order of its own.

    Args:
        captions: to learn.
        inputs: what the network takes of images.
        batch_size: captions.
        seed: of the order.
        bucketed: batches of one length; else any captions, filled up with zeros.
        one_of_each: an epoch has one caption of each image; else all.
    """
    lengths = np.array([len(row) for row in captions.numbers])
    shape = inputs(np.arange(1)).shape[1:]
    pair = tf.TensorSpec((None, None), tf.int32)
    signature = ((tf.TensorSpec((None, *shape), tf.float32), pair), pair)

    def epoch(number: int, step: int) -> tf.data.Dataset:
        rng = np.random.default_rng([seed, number])
        chosen = captions.one_of_each(rng) if one_of_each else np.arange(len(captions))
        if bucketed:
            batches = buckets(lengths[chosen], batch_size, rng)
        else:
            order = rng.permutation(len(chosen))
            batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

        def made() -> Any:
            for batch in batches[step:]:
                positions = chosen[batch]
                before, words = padded([captions.numbers[k] for k in positions])
                yield (inputs(captions.images[positions]), before), words

        return tf.data.Dataset.from_generator(made, output_signature=signature).prefetch(2)

    return epoch


def fingerprint(parts: CaptionParts) -> str:
    """A hash of the names of all images and of their captions."""
    digest = hashlib.sha256()
    for part in parts:
        for source, captions in zip(part.sources, part.captions, strict=True):
            digest.update(f"{os.path.basename(str(source))}\n{captions}\n".encode())
    return digest.hexdigest()

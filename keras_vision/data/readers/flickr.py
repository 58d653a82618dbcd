"""Flickr8k (Hodosh et al., JAIR 2013) and Flickr30k (Young et al., TACL 2014): five sentences for each photograph."""

from __future__ import annotations

from pathlib import Path

from keras_vision.data.annotated_images import CaptionedImages
from keras_vision.data.listings import PathLike, absent, check_present, existing_folder, first_existing, read_lines
from keras_vision.data.readers.label_table import read_columns
from keras_vision.errors import KerasVisionError

_CAPTIONS = (
    "Flickr8k.token.txt", "Flickr8k_text/Flickr8k.token.txt", "results_20130124.token", "captions.txt",
)  # fmt: skip
_IMAGES = ("Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "flickr30k_images", "Images", "images")


def flickr_captions(folder: PathLike, split: PathLike | None = None) -> CaptionedImages:
    """Photographs of Flickr8k or Flickr30k with their sentences, in the order of the file of captions.

    Args:
        folder: holds the photographs (`Flicker8k_Dataset`, `flickr30k-images`, `images` ...) and the captions:
            `Flickr8k.token.txt`, `results_20130124.token`, or `captions.txt`, a CSV of image and caption.
        split: text with one photograph per line, such as `Flickr_8k.trainImages.txt`. None: all; those with
            captions but no file (Flickr8k has one) are `skipped`.

    Raises:
        KerasVisionError: a missing folder or file, or a photograph of the split or a line without a caption.
    """
    root = existing_folder(folder, "the folder of Flickr8k or Flickr30k")
    listing = first_existing(root, _CAPTIONS, "the folder that holds the captions and the photographs")
    images = first_existing(root, _IMAGES, "the folder that holds the captions and the photographs")
    captions = _by_image(listing)
    if split is None:
        gone = {path.name for path in absent(images / name for name in captions)}
        names = [name for name in captions if name not in gone]
    else:
        gone, names = set(), [line.strip() for line in read_lines(split)]
        if unknown := [name for name in names if name not in captions]:
            raise KerasVisionError(f"{split}: {len(unknown)} photographs have no captions in {listing}: {unknown[:3]}.")
        check_present([images / name for name in names], split)
    if not names:
        raise KerasVisionError(f"{images}: none of the {len(captions)} photographs of {listing} is there.")
    skipped = tuple((str(images / name), "no such file") for name in captions if name in gone)
    return CaptionedImages([images / name for name in names], tuple(tuple(captions[name]) for name in names), skipped)


def _by_image(listing: Path) -> dict[str, list[str]]:
    rows = read_columns(listing, ("image", "caption")) if listing.name == "captions.txt" else _tokens(listing)
    captions: dict[str, list[str]] = {}
    for name, caption in rows:
        if not caption.strip() or Path(name).name != name:
            raise KerasVisionError(f"{listing}: {name!r} has an empty caption, or is no file name.")
        captions.setdefault(name, []).append(caption.strip())
    return captions


def _tokens(listing: Path) -> list[tuple[str, ...]]:
    """Pairs of photograph and caption from lines such as "1000268201.jpg#0<tab>A child ..."."""
    pairs = [line.partition("\t")[::2] for line in read_lines(listing)]
    if wrong := next((name for name, _ in pairs if "#" not in name), None):
        raise KerasVisionError(f"{listing}: {wrong!r}; expected a photograph, #, a number, a tab and a caption.")
    return [(name.rpartition("#")[0], caption) for name, caption in pairs]

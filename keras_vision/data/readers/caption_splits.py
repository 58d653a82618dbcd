"""The splits of Flickr8k, Flickr30k and COCO that captions are compared on: `dataset_*.json` (Karpathy & Li, 2015)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_vision.data.annotated_images import CaptionedImages
from keras_vision.data.listings import PathLike, absent, existing_folder
from keras_vision.errors import KerasVisionError

SPLITS = ("train", "restval", "val", "test")
_LARGEST = 1 << 30  # bytes of a listing; COCO's has 144 MB


def caption_split(images: PathLike, listing: PathLike, split: str, most: int | None = 5) -> CaptionedImages:
    """Photographs of a split with their sentences, in the order of the listing.

    Photographs that are not there, and those without a sentence, are `skipped`. Sentences are joined from the published
    words, where there are such.

    Args:
        images: folder of the photographs; COCO's holds `train2014` and `val2014`.
        listing: `dataset_flickr8k.json`, `dataset_flickr30k.json` or `dataset_coco.json`.
        split: "train", "val" or "test"; of COCO also "restval", which Xu et al. (2015) do not train on.
        most: sentences of a photograph that count, the first ones, as in the paper; None for all.

    Raises:
        KerasVisionError: no such folder, split or file, a damaged one, or no photograph of the split.
    """
    if split not in SPLITS:
        raise KerasVisionError(f"split={split!r}; accepted: {', '.join(SPLITS)}.")
    root, records = existing_folder(images, "the folder of the photographs"), _records(listing)
    chosen = [record for record in records if record.get("split") == split]
    paths = [root / Path(str(record.get("filepath", ""))).name / Path(record["filename"]).name for record in chosen]
    gone, kept, skipped = set(absent(paths)), [], []
    for record, path in zip(chosen, paths, strict=True):
        sentences = [text for text in map(_text, record["sentences"]) if text.strip()][:most]
        if path in gone or not sentences:
            skipped.append((str(path), "no such file" if path in gone else "no caption"))
        else:
            kept.append((path, tuple(sentences)))
    if not kept:
        raise KerasVisionError(f"{listing}: none of its {len(chosen)} photographs of {split!r} is in {root}.")
    return CaptionedImages([path for path, _ in kept], tuple(texts for _, texts in kept), tuple(skipped))


def _text(sentence: Any) -> str:
    tokens = sentence.get("tokens")
    return " ".join(map(str, tokens)) if isinstance(tokens, list) else str(sentence.get("raw", ""))


def _records(listing: PathLike) -> list[dict[str, Any]]:
    try:
        if Path(listing).stat().st_size > _LARGEST:
            raise KerasVisionError(f"{listing}: more than {_LARGEST >> 30} GiB; no listing that was published.")
        records = json.loads(Path(listing).read_bytes())["images"]
        well = all(isinstance(r["filename"], str) and all(isinstance(s, dict) for s in r["sentences"]) for r in records)
    except KerasVisionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise KerasVisionError(f"{listing}: damaged, or no listing of captions and splits ({error!r}).") from error
    if not well:
        raise KerasVisionError(f"{listing}: a photograph without filename or sentences; no listing of this kind.")
    return records

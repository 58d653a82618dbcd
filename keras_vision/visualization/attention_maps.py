"""Where a captioner looked before each word: overlays as one picture, and as a page for a browser."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from keras_vision.errors import KerasVisionError
from keras_vision.files import whole_file
from keras_vision.runtime.images import Source, open_image
from keras_vision.runtime.preprocessing import Preprocessing

ENLARGED = 16  # 2^4: VGG's four poolings
_SIGMA = 8.0  # of the Gaussian filter, in pixels: half a cell
_DIM, _TEXT, _GROUND = 0.25, 18, (255, 255, 255)  # brightness where nothing is looked at; pixels below a picture


def attention_overlay(image: Source, attention: Any, spec: Preprocessing) -> Image.Image:
    """What the network saw of a photograph, bright where it looked and dim elsewhere.

    Args:
        image: a path, encoded bytes, a Pillow image, or uint8 pixels.
        attention: weights of the cells `(rows, columns)`, 0 or above.
        spec: the network's preprocessing, whose crop is shown.

    Returns:
        RGB, of `rows * 16` x `columns * 16` pixels.

    Raises:
        KerasVisionError: weights of another shape, below 0 or not finite.
        ImageError: the image cannot be decoded.

    Source: Xu et al. (2015), section 5.4: weights 16 times as large, and a Gaussian filter; its width is chosen here.
    """
    weights = np.asarray(attention, np.float64)
    if weights.ndim != 2 or not weights.size or not np.isfinite(weights).all() or weights.min() < 0:
        raise KerasVisionError(f"attention of shape {weights.shape}; give finite weights (rows, columns), 0 or above.")
    smooth = ndimage.gaussian_filter(weights.repeat(ENLARGED, 0).repeat(ENLARGED, 1), _SIGMA, mode="nearest")
    light = _DIM + (1 - _DIM) * smooth / (smooth.max() or 1.0)
    seen = _seen(image, spec, (smooth.shape[1], smooth.shape[0]))
    return Image.fromarray(np.rint(np.asarray(seen, np.float64) * light[..., None]).astype(np.uint8))


def attention_picture(
    image: Source, words: Sequence[str], attention: Any, spec: Preprocessing, columns: int = 6
) -> Image.Image:
    """The photograph, and beside it an overlay for each word, with the word below it; RGB.

    Args:
        image, spec: as of `attention_overlay`.
        words: of the caption.
        attention: weights before each word `(words, rows, columns)`.
        columns: pictures in a row.

    Raises:
        KerasVisionError: as of `attention_overlay`; no words, or another number of maps.
    """
    overlays = [attention_overlay(image, of_word, spec) for of_word in _checked(words, attention)]
    width, height = overlays[0].size
    pictures = [_seen(image, spec, (width, height)), *overlays]
    rows, columns = -(-len(pictures) // columns), min(columns, len(pictures))
    sheet = Image.new("RGB", (columns * (width + 4), rows * (height + _TEXT + 4)), _GROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (picture, word) in enumerate(zip(pictures, ["", *words], strict=True)):
        left, top = number % columns * (width + 4) + 2, number // columns * (height + _TEXT + 4) + 2
        sheet.paste(picture, (left, top))
        pen.text((left + 2, top + height + 2), word, fill=(0, 0, 0), font_size=14)
    return sheet


def attention_page(
    captions: Sequence[tuple[str, Source, Sequence[str], Any]],
    spec: Preprocessing,
    path: str | os.PathLike,
    overwrite: bool = False,
) -> None:
    """Write one HTML file, pictures included, with the caption of each photograph and an overlay for each word.

    Args:
        captions: of each photograph its name, itself, the words of its caption, and attention before each; one without
            words is shown alone.
        spec: as of `attention_overlay`.
        path: of the file.
        overwrite: replace an existing file.

    Raises:
        KerasVisionError: as of `attention_picture`, or a file that exists or cannot be written.
    """
    parts = [_HEAD]
    for name, image, words, attention in captions:
        maps = _checked(words, attention) if len(words) else ()
        sentence = html.escape(" ".join(words)) or "(no words)"
        parts.append(f"<section><h2>{html.escape(name)}</h2><p class=caption>{sentence}</p><div>")
        figures = [("", _seen(image, spec, (spec.size[1], spec.size[0])))]
        figures += [(word, attention_overlay(image, of, spec)) for word, of in zip(words, maps, strict=True)]
        parts += [_figure(word, picture) for word, picture in figures]
        parts.append("</div></section>")
    with whole_file(path, overwrite) as file:
        file.write_text("\n".join([*parts, "</body></html>"]), encoding="utf-8")


def _checked(words: Sequence[str], attention: Any) -> Any:
    maps = np.asarray(attention)
    if not len(words) or maps.ndim != 3 or len(maps) != len(words):
        raise KerasVisionError(f"{len(words)} words, attention {maps.shape}; give words, and (words, rows, columns).")
    return maps


def _seen(image: Source, spec: Preprocessing, size: tuple[int, int]) -> Image.Image:
    """The part of a photograph that the network takes."""
    return Image.fromarray(spec.pixels(open_image(image)).squeeze()).convert("RGB").resize(size)


def _figure(word: str, picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    encoded = base64.b64encode(stream.getvalue()).decode()
    text = html.escape(word)
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{encoded}"><figcaption>{text}</figcaption></figure>'


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Captions and attention</title><style>
body { font: 16px/1.4 sans-serif; margin: 2em; } h2 { font-size: 1em; color: #666; margin-bottom: 0; }
.caption { font-size: 1.3em; margin: .2em 0 .6em; } section { margin-bottom: 2em; }
div { display: flex; flex-wrap: wrap; } figure { margin: 0 8px 8px 0; }
figcaption { text-align: center; min-height: 1.4em; } img { width: 160px; display: block; }
</style></head><body><h1>Captions, and where each word looks</h1>"""

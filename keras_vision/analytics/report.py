"""One HTML file that shows a set of images: no server, no network, nothing but the browser."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from keras_vision.files import whole_file

_SCRIPTS = ("state.js", "pictures.js", "map.js", "tree.js", "panels.js", "start.js")
_SIDES = ((2000, 96), (10_000, 64))  # most images of a page, side of a thumbnail in pixels


def thumbnail_side(count: int) -> int:
    """Side of a thumbnail, in pixels, that keeps a page of so many images small."""
    return next((side for most, side in _SIDES if count <= most), _SIDES[-1][1])


def page(data: dict[str, Any], pictures: Sequence[bytes]) -> str:
    """The page's HTML.

    Names reach it as JSON only and are shown as text, never as HTML; beside that, the page's own security policy lets
    no script run but the page's, which it names by hash, and nothing be fetched.

    Args:
        data: of `page_data`.
        pictures: JPEG files of the images, empty where there is none.
    """
    script = "\n".join(_part(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:"
    parts = {
        "TITLE": escape(data["title"]),
        "POLICY": escape(policy),
        "STYLE": _part("page.css"),
        "SCRIPT": script,
        "DATA": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        "PICTURES": "\n".join(base64.b64encode(picture).decode() for picture in pictures),
    }
    pieces = _part("page.html").split("@@")  # text, name, text, name, ..., text
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def write_page(
    path: str | os.PathLike, data: dict[str, Any], pictures: Sequence[bytes], overwrite: bool = False
) -> int:
    """Write the page; its size in bytes.

    Raises:
        KerasVisionError: the file exists, or cannot be written.
    """
    content = page(data, pictures).encode()
    with whole_file(path, overwrite) as file:
        Path(file).write_bytes(content)
    return len(content)


def _part(name: str) -> str:
    return importlib.resources.files("keras_vision.analytics").joinpath("page", name).read_text(encoding="utf-8")

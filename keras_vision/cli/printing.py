"""What may be printed: names, and reasons with names in them, may hold bytes that are no UTF-8, or commands."""

from __future__ import annotations

import sys


def printable(text: str) -> str:
    """The text with a question mark for every character that cannot or should not be printed."""
    seen = "".join(letter if letter.isprintable() else "?" for letter in text)
    encoding = sys.stdout.encoding or "utf-8"
    return seen.encode(encoding, "replace").decode(encoding)

"""Image analytics: folders of photographs as vectors, and classical methods on them.

Names are imported on first use.
"""

import importlib
from typing import Any

_NAMES = {
    "Embeddings": "embedding",
    "ImageEmbedder": "embedding",
    "Skipped": "reading",
    "feature_network": "network",
    "label_of": "listing",
    "read_embeddings": "tables",
    "walk_images": "listing",
    "write_embeddings": "tables",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

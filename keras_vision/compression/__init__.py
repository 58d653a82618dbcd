"""Deep Compression: pruning, weight sharing, Huffman coding and the packed file; dense-sparse-dense; low rank.

    model = kv.create_model("SqueezeNet", weights="imagenet")
    ledger = kv.compression.compress(model, "squeezenet.kvpack", bits=6, sparsity=0.67)
    again = kv.compression.load_packed("squeezenet.kvpack")

Names are imported on first use (PEP 562): reading a packed file's weights needs no TensorFlow.
"""

import importlib
from typing import Any

_WHERE = {
    "GradualPruning": "gradual",
    "KeepPruned": "gradual",
    "Ledger": "ledger",
    "SharedKernel": "quantize",
    "apply_masks": "prune",
    "compress": "deep_compression",
    "dense_sparse_dense": "dsd",
    "factorize_dense": "low_rank",
    "fine_tune_centroids": "tuning",
    "kernels": "kernels",
    "load_packed": "packing",
    "load_packed_weights": "packing",
    "magnitude_masks": "prune",
    "pack": "packing",
    "prune": "prune",
    "read_packed": "packed_file",
    "sensitivity": "sensitivity",
    "share_weights": "quantize",
    "sparsity_of": "prune",
    "tolerated": "sensitivity",
    "tune_masked": "tuning",
    "zero_masks": "prune",
}

__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

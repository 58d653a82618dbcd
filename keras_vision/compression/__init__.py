"""Deep Compression: pruning, weight sharing, Huffman coding and the packed file; dense-sparse-dense; low rank.

    model = kv.create_model("SqueezeNet", weights="imagenet")
    ledger = kv.compression.compress(model, "squeezenet.kvpack", bits=6, sparsity=0.67)
    again = kv.compression.load_packed("squeezenet.kvpack")

Names are imported on first use (PEP 562): reading a packed file's weights needs no TensorFlow.
"""

from keras_vision.lazy import on_first_use

_WHERE = {
    "GradualPruning": "gradual",
    "KeepPruned": "gradual",
    "Ledger": "ledger",
    "Photographs": "photographs",
    "SharedKernel": "quantize",
    "apply_masks": "pruning",
    "compress": "deep_compression",
    "dense_sparse_dense": "dsd",
    "factorize_dense": "low_rank",
    "fine_tune_centroids": "tuning",
    "kernels": "kernel_variables",
    "load_packed": "packing",
    "load_packed_weights": "packing",
    "magnitude_masks": "pruning",
    "pack": "packing",
    "prune": "pruning",
    "prune_reconstructed": "reconstruct",
    "read_packed": "packed_file",
    "sensitivity": "layer_sensitivity",
    "share_reconstructed": "reconstruct",
    "share_weights": "quantize",
    "sparsity_of": "pruning",
    "tolerated": "layer_sensitivity",
    "tune_masked": "tuning",
    "zero_masks": "pruning",
}

__all__ = sorted(_WHERE)

__getattr__, __dir__ = on_first_use(__name__, _WHERE)

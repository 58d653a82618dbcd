"""The weights that a naive forward drew, put into a Keras model."""

import numpy as np


def fill(model, arrays, flattened=()):
    """Set layers to `{name}.blobs.0` and `.1`, channels first, of the layer itself or of its `{name}_conv`.

    `flattened` maps a dense layer to the shape (channels, rows, columns) of what was flattened before it.
    """
    for name in sorted({key.split(".")[0] for key in arrays}):
        kernel, bias = arrays[f"{name}.blobs.0"], arrays[f"{name}.blobs.1"]
        if kernel.ndim == 4:
            kernel = kernel.transpose(2, 3, 1, 0)
        elif name in flattened:
            channels, *cells = flattened[name]
            kernel = kernel.reshape(-1, channels, *cells).transpose(2, 3, 1, 0).reshape(-1, len(kernel))
        else:
            kernel = kernel.T
        own = {layer.name for layer in model.layers}
        model.get_layer(f"{name}_conv" if f"{name}_conv" in own else name).set_weights([kernel, np.asarray(bias)])
    return model

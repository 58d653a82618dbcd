"""The weights that a naive forward drew, put into a Keras model."""


def fill(model, arrays, flattened=()):
    """Set layers to `{name}.blobs.0` and `.1`, channels first, of the layer or its `_conv` or `_dense` part.

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
        parts = [layer for layer in model.layers if layer.name in (f"{name}_conv", f"{name}_dense", name)]
        parts[0].set_weights([kernel, bias])
    return model

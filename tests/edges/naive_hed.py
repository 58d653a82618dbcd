"""The authors' HED in NumPy by Caffe's rules, in float64, and files in the layouts that it was released in."""

import math

import numpy as np

CONVS = (2, 2, 3, 3, 3)
WIDTHS = (64, 128, 256, 512, 512)
CROPS = (34, 35, 36, 38, 42)  # rows and columns that the release's Crop layers leave out of each side output


def weights(seed=0):
    """Arrays by the names of the authors' network."""
    rng, arrays, channels = np.random.default_rng(seed), {}, 3
    for stage, (count, width) in enumerate(zip(CONVS, WIDTHS, strict=True), 1):
        for number in range(1, count + 1):
            kernel = rng.normal(0, math.sqrt(2 / (9 * channels)), (width, channels, 3, 3))
            arrays |= blobs(f"conv{stage}_{number}", kernel, rng.normal(0, 0.1, width))
            channels = width
        arrays |= blobs(f"score-dsn{stage}", rng.normal(0, 0.05, (1, channels, 1, 1)), rng.normal(0, 0.1, 1))
        if stage > 1:
            stride = 2 ** (stage - 1)
            arrays |= {f"upsample_{stride}.blobs.0": tent(stride)[None, None].astype("float32")}
    return arrays | blobs("new-score-weighting", rng.normal(0.2, 0.1, (1, 5, 1, 1)), rng.normal(0, 0.1, 1))


def blobs(name, kernel, bias):
    return {f"{name}.blobs.0": kernel.astype("float32"), f"{name}.blobs.1": bias.astype("float32")}


def tent(stride):
    side = [1 - abs(i + 0.5 - stride) / stride for i in range(2 * stride)]
    return np.outer(side, side)


def forward(image, arrays):
    """Logits of the five side outputs and of their fusion, each (h, w), of an image (h, w, 3) that is normalised."""
    x, sides = image.transpose(2, 0, 1).astype("float64"), []
    for stage, count in enumerate(CONVS, 1):
        x = pooled(x) if stage > 1 else x
        for number in range(1, count + 1):
            x = np.maximum(conv(x, arrays, f"conv{stage}_{number}", 35 if (stage, number) == (1, 1) else 1), 0)
        score = conv(x, arrays, f"score-dsn{stage}", 0)[0]
        score = scattered(score, 2 ** (stage - 1)) if stage > 1 else score
        crop = CROPS[stage - 1]
        sides.append(score[crop : crop + image.shape[0], crop : crop + image.shape[1]])
    return [*sides, conv(np.stack(sides), arrays, "new-score-weighting", 0)[0]]


def conv(x, arrays, name, pad):
    kernel, bias = (arrays[f"{name}.blobs.{i}"].astype("float64") for i in (0, 1))
    x = np.pad(x, [(0, 0), (pad, pad), (pad, pad)])
    rows, columns = (n - kernel.shape[2] + 1 for n in x.shape[1:])
    taps = np.ndindex(kernel.shape[2:])
    y = sum(np.tensordot(kernel[:, :, i, j], x[:, i : i + rows, j : j + columns], 1) for i, j in taps)
    return y + bias[:, None, None]


def pooled(x):
    """Largest of 2 x 2, and of what is left at the end."""
    return np.stack([[[c[i : i + 2, j : j + 2].max() for j in range(0, c.shape[1], 2)] for i in range(0, len(c), 2)]
                     for c in x])  # fmt: skip


def scattered(score, stride):
    y = np.zeros([stride * (n - 1) + 2 * stride for n in score.shape])
    for i, j in np.ndindex(score.shape):
        y[i * stride : (i + 2) * stride, j * stride : (j + 2) * stride] += score[i, j] * tent(stride)
    return y


def in_torch(arrays, prefix):
    """By the names of the PyTorch re-implementation, which keeps no interpolation."""
    words, renamed = ("One", "Two", "Thr", "Fou", "Fiv"), {}
    for key, array in arrays.items():
        layer, _, number = key.rpartition(".blobs.")
        if layer.startswith("upsample"):
            continue
        if layer == "new-score-weighting":
            module = "Combine.0"
        elif layer.startswith("score"):
            module = f"Score{words[int(layer[-1]) - 1]}"
        else:
            stage, conv = int(layer[4]), int(layer[6])
            module = f"Vgg{words[stage - 1]}.{2 * (conv - 1) + (stage > 1)}"
        renamed[f"{prefix}{module}.{('weight', 'bias')[int(number)]}"] = array
    return renamed


def caffemodel(arrays):
    """Bytes of a .caffemodel file: a NetParameter of LayerParameters, by Protocol Buffers' rules."""
    layers = {}
    for key, array in arrays.items():
        layers.setdefault(key.rpartition(".blobs.")[0], []).append(array)
    return b"".join(field(100, layer(name, arrays)) for name, arrays in layers.items())


def layer(name, arrays):
    kind = {"upsample": "Deconvolution"}.get(name.partition("_")[0], "Convolution")
    return field(1, name.encode()) + field(2, kind.encode()) + b"".join(field(7, blob(array)) for array in arrays)


def blob(array):
    shape = b"".join(varint(n) for n in array.shape)
    return field(5, array.astype("<f4").tobytes()) + field(7, field(1, shape))


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(n):
    low, rest = n & 127, n >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])

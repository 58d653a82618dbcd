"""Mean-field of the fully-connected CRF by brute force, in float64: every pair of pixels, nothing clever."""

import numpy as np

from keras_vision.ops import Bilateral, Potts


def kernel_matrix(kernel, image):
    """The (pixels, pixels) Gaussian of one kernel for an image (h, w, channels)."""
    height, width, channels = image.shape
    (theta_x, theta_y), colours = kernel.thetas(channels)
    y, x = np.mgrid[:height, :width]
    features = [x.ravel() / theta_x, y.ravel() / theta_y]
    if isinstance(kernel, Bilateral):
        features += [image[..., c].ravel().astype(np.float64) / colours[c] for c in range(channels)]
    distance = sum((feature[:, None] - feature[None, :]) ** 2 for feature in features)
    return np.exp(-distance / 2)


def normalized(matrix, normalization):
    """The kernel with its rows, its columns or both brought to a common mass."""
    mass = matrix.sum(1)
    if normalization == "symmetric":
        return matrix / np.sqrt(mass[:, None] * mass[None, :])
    if normalization == "before":
        return matrix / mass[None, :]
    if normalization == "after":
        return matrix / mass[:, None]
    return matrix


def softmax(scores):
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def mean_field(logits, image, kernels, compatibility, iterations, normalization):
    """Marginals (h, w, labels) of one image."""
    labels = logits.shape[-1]
    matrix = 1 - np.eye(labels) if isinstance(compatibility, Potts) else np.asarray(compatibility, np.float64)
    scores = logits.reshape(-1, labels).astype(np.float64)
    message = sum(k.weight * normalized(kernel_matrix(k, image), normalization) for k in kernels)
    marginals = softmax(scores)
    for _ in range(iterations):
        marginals = softmax(scores - message @ marginals @ matrix.T)
    return marginals.reshape(logits.shape)

"""The loss of edge detection: cross-entropy in which edges and other pixels of an image weigh the same."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_vision.errors import KerasVisionError

_ROUND_OFF = 1e-3  # by which a resampled share of people may be off


@keras.saving.register_keras_serializable("keras_vision")
class BalancedEdgeLoss(keras.losses.Loss):
    """Class-balanced cross-entropy of edges, summed over the pixels of an image, mean over images.

    ``-beta * sum over edges of log p - (1 - beta) * sum over the others of log(1 - p)``, where ``beta`` is the share of
    the others among the pixels that count, in each image for itself. An image without edges, or in which no pixel
    counts, has the loss 0.

    `y_true` is `(n, h, w)` or `(n, h, w, 1)`: 1 is an edge, 0 is none, and any number above 1 or below 0 is left out;
    between them it is the share of people who drew an edge there, and what fewer than `agree` of them drew is left out.
    `y_pred` are logits `(n, h, w, 1)`.

    Args:
        agree: smallest share of the people that makes an edge, above 0 and up to 1.
        normalize: divide the loss of an image by the number of its pixels that count.

    Raises:
        KerasVisionError: `agree` is no such share; on a call, other shapes.

    Source: HED (Xie & Tu, 2015), equation 2, and section 4.1 on what people do not agree about.
    """

    def __init__(self, agree: float = 0.5, normalize: bool = False, name: str = "balanced_edge_loss", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        if not 0 < agree <= 1:
            raise KerasVisionError(f"agree={agree}; give the share of people that makes an edge, above 0 and up to 1.")
        self.agree = agree
        self.normalize = normalize

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """`(n, h, w) or (n, h, w, 1), (n, h, w, 1) -> (n,)`."""
        drawn, logits = _rows(y_true, y_pred)
        edge = ops.cast((drawn >= self.agree - _ROUND_OFF) & (drawn <= 1 + _ROUND_OFF), logits.dtype)
        none = ops.cast(ops.equal(drawn, 0), logits.dtype)
        edges, others = ops.sum(edge, axis=1), ops.sum(none, axis=1)
        counted = ops.maximum(edges + others, 1)
        missed = ops.sum(edge * ops.softplus(-logits), axis=1)
        found = ops.sum(none * ops.softplus(logits), axis=1)
        loss = (others * missed + edges * found) / counted
        return loss / counted if self.normalize else loss

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "agree": self.agree, "normalize": self.normalize}


def deep_supervision(model: keras.Model, batches: Any) -> Any:
    """Batches of images and one target, with the target once for each output: what `fit` takes for a deep model.

    Args:
        model: with a dict of outputs, such as ``HED(output="all")``; for one output the batches stay as they are.
        batches: a `tf.data.Dataset`, such as an epoch of `kv.data.Pipeline`.

    Source: HED, section 3.1.
    """
    if not isinstance(model.output, dict):
        return batches
    names = list(model.output)
    return batches.map(lambda images, target: (images, dict.fromkeys(names, target)))


def _rows(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Targets and logits as `(n, h * w)`."""
    maps = [x[..., 0] if len(x.shape) == 4 and x.shape[-1] == 1 else x for x in (y_true, y_pred)]
    known = [a == b or None in (a, b) for a, b in zip(maps[0].shape, maps[1].shape, strict=False)]
    if not len(maps[0].shape) == len(maps[1].shape) == 3 or not all(known):
        raise KerasVisionError(
            f"y_true of {tuple(y_true.shape)} and y_pred of {tuple(y_pred.shape)}; the loss takes one target and one "
            "logit for each pixel: (n, h, w) or (n, h, w, 1), and (n, h, w, 1)."
        )
    drawn, logits = (ops.reshape(x, (ops.shape(x)[0], -1)) for x in maps)
    return drawn, logits

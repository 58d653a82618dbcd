"""What a caption decoder learns by: the likelihood of captions, the doubly stochastic penalty, and REINFORCE."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_vision.errors import KerasVisionError

PAD = 0  # of a batch of captions: no word is expected here


class Costs(NamedTuple):
    """Of each caption `(n,)`: what is minimised, and log p(y | a), in nats."""

    loss: Any
    log_p: Any


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss of a caption, in nats.

    Soft attention: ``-log p(y | a) + penalty * sum_i (1 - sum_t alpha_ti)^2``. Hard attention: a loss with the gradient
    of equation 12, ``-log p(y | s, a) - reinforce * (log p(y | s, a) - b) log p(s | a) - entropy * H[s]``, where the
    factor in brackets is a constant, and captions that took the expectation have no log p(s | a).

    Attributes:
        penalty: lambda of the doubly stochastic penalty, of soft attention.
        reinforce, entropy: lambda_r and lambda_e, of hard attention.
        memory: of the baseline b: ``b = memory * b + (1 - memory) * log p(y | s, a)``, in the mean over the batch.

    Raises:
        KerasVisionError: a factor below 0, or a memory that is no share.

    Source: Xu et al. (2015), equation 12, section 4.1, and the equation of section 4.2.1.
    """

    penalty: float = 1.0
    reinforce: float = 1.0
    entropy: float = 0.002
    memory: float = 0.9

    def __post_init__(self) -> None:
        if not (min(self.penalty, self.reinforce, self.entropy) >= 0 and 0 <= self.memory < 1):
            raise KerasVisionError(f"{self}; give factors of 0 or above, and a memory from 0 to below 1.")

    def costs(self, targets: Any, found: dict[str, Any], baseline: Any = 0.0) -> Costs:
        """Loss and log-probability of each caption.

        Args:
            targets: words that are expected `(n, T)`, 0 where there is none.
            found: outputs of a `ShowAttendTell`.
            baseline: b.
        """
        counted = ops.cast(ops.not_equal(targets, PAD), "float32")
        losses = keras.losses.sparse_categorical_crossentropy(targets, found["words"], from_logits=True)
        log_p = -ops.sum(losses * counted, axis=1)
        alpha = found["attention"]
        if "chosen" not in found:
            looked = ops.sum(alpha * counted[..., None], axis=1)
            return Costs(self.penalty * ops.sum(ops.square(1 - looked), axis=1) - log_p, log_p)
        log_alpha = ops.log(alpha + 1e-20)
        log_s = ops.sum(ops.sum(ops.stop_gradient(found["chosen"]) * log_alpha, axis=2) * counted, axis=1)
        spread = -ops.sum(ops.sum(alpha * log_alpha, axis=2) * counted, axis=1)
        sampled = 1 - ops.reshape(found["expected"], (-1,))
        reward = sampled * ops.stop_gradient(log_p - baseline)
        return Costs(-log_p - self.reinforce * reward * log_s - self.entropy * spread, log_p)

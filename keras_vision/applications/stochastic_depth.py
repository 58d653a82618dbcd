"""Stochastic depth (Huang et al., 2016): residual nets for CIFAR whose blocks are dropped at random in training.

Block l of L survives with probability ``1 - l / L * (1 - survival)``, or with `decay="uniform"` with `survival`
(Equation 4). A dropped block is its shortcut, and nothing else is computed; in inference a branch counts as much as it
was likely to survive (Equation 5). The nets are those of `resnet`, with the shortcut of the authors' program: means of
2x2 cells where a stage begins, and zero channels after the others.

Deviations: the convolutions have no biases, which the batch norms after them would take away. StochasticDepthResNet1202
nests one model per stage, as ResNet-1202 does.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from keras_vision.applications._family import Family
from keras_vision.applications.densenet import CIFAR
from keras_vision.applications.resnet import cifar_trunk, head
from keras_vision.errors import KerasVisionError
from keras_vision.layers import stochastic_residual, survival_probabilities
from keras_vision.registry import Paper

# ------------------------------------------------------------------------------------------------- table

LINEAR: Mapping[str, Any] = dict(shortcut="average", survival=0.5, decay="linear", mode="batch")

TABLE: Mapping[str, Mapping[str, Any]] = {  # 6n + 2 layers (section 4)
    "StochasticDepthResNet110": dict(n=18, nested=False, **LINEAR),
    "StochasticDepthResNet1202": dict(n=200, nested=True, **LINEAR),
}

# ----------------------------------------------------------------------------------------- trunk and head


def trunk(
    x: Any, *, n: int, shortcut: str, nested: bool, survival: float, decay: str, mode: str
) -> Any:  # fmt: skip
    """conv1 to conv4_x: `(n, 32, 32, 3) -> (n, 8, 8, 64)`.

    `mode="sample"` draws for each image, where all blocks are computed.
    """
    if decay not in ("linear", "uniform"):
        raise KerasVisionError(f"decay={decay!r}; accepted: 'linear', 'uniform'.")
    if shortcut is None:
        raise KerasVisionError("shortcut=None; a block that is dropped is its shortcut: give 'average', 'A' or 'B'.")
    blocks = 3 * n if isinstance(n, int) and n > 0 else 1  # the trunk says what is wrong with another n
    joins = [
        partial(stochastic_residual, survival_probability=probability, mode=mode)
        for probability in survival_probabilities(blocks, survival, decay)
    ]
    return cifar_trunk(x, n=n, shortcut=shortcut, nested=nested, joins=joins)


FAMILY = Family(
    name="stochastic_depth",
    paper=Paper(
        title="Deep Networks with Stochastic Depth",
        authors="Huang, Sun, Liu, Sedra, Weinberger",
        year=2016,
        arxiv="1603.09382",
    ),
    table_in_paper="section 4",
    table=TABLE,
    trunk=trunk,
    head=head,
    classifiers=("fc",),
    preprocessing=CIFAR,
    classes=10,
    deviations=("no biases before the batch norms, where the authors' program has some",),
)

StochasticDepthResNet110 = FAMILY.constructor("StochasticDepthResNet110")
StochasticDepthResNet1202 = FAMILY.constructor("StochasticDepthResNet1202")
preprocess_input = FAMILY.preprocess_input
decode_predictions = FAMILY.decode_predictions

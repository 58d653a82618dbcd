"""Edge detection: holistically-nested networks, labels, thin edges, and the boundary benchmark of BSDS500.

A network is trained on the share of people who drew a boundary at each pixel, with the same target for every side
output, and then gives one probability per pixel::

    images = kv.data.bsds500("BSDS500", "train")
    model = kv.edges.HED(trunk="SqueezeNetV1_1", trunk_weights="squeezenet1_1-b8a52dc0.pth", output="all")
    model.compile(keras.optimizers.Adam(1e-3), kv.edges.BalancedEdgeLoss(normalize=True))
    model.fit(kv.edges.deep_supervision(model, kv.data.Pipeline(images, model.preprocessing, 4, seed=0).epoch(0)))
    detector = kv.edges.with_output(model, "fuse")        # shares the weights

Maps of edge strength from 0 to 1 are scored against what several people drew::

    images = kv.data.bsds500("BSR", "test")
    thin = (kv.edges.suppress_non_maxima(edges) for edges in maps)
    scores = kv.edges.evaluate_boundaries(thin, images, workers=2)
    scores.ods, scores.ois, scores.ap, scores.ods_threshold
    human = kv.edges.human_consistency(images, workers=2)     # F 0.80
    kv.visualization.boundary_curves({"ours": scores}, human=human).savefig("curve.png")

The networks are imported on first use (PEP 562): the benchmark needs no Keras.
"""

from typing import TYPE_CHECKING

from keras_vision.edges.consensus import consensus, share_consensus
from keras_vision.edges.evaluation import evaluate_boundaries
from keras_vision.edges.human import HumanConsistency, human_consistency
from keras_vision.edges.matching import match_boundaries
from keras_vision.edges.scores import BestF, BoundaryScores
from keras_vision.edges.thinning import suppress_non_maxima, thin
from keras_vision.lazy import on_first_use

if TYPE_CHECKING:
    from keras_vision.edges.hed import HED, with_output
    from keras_vision.edges.loss import BalancedEdgeLoss, deep_supervision

__all__ = [
    "HED",
    "BalancedEdgeLoss",
    "BestF",
    "BoundaryScores",
    "HumanConsistency",
    "consensus",
    "deep_supervision",
    "evaluate_boundaries",
    "human_consistency",
    "match_boundaries",
    "share_consensus",
    "suppress_non_maxima",
    "thin",
    "with_output",
]

_HOMES = {"HED": "hed", "with_output": "hed", "BalancedEdgeLoss": "loss", "deep_supervision": "loss"}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)

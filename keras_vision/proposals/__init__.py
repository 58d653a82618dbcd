"""Regions of an image without learning, after Multiscale Combinatorial Grouping: hierarchies, proposals, their scores.

A boundary map becomes a hierarchy of regions; a threshold cuts it into a segmentation, and sets of up to four
neighbouring regions are proposals of objects::

    edges = kv.proposals.gradient_contours(image)           # or those of an `edges.HED`, 0 to 1, (h, w)
    ucm = kv.proposals.ultrametric_contour_map(edges)
    labels = kv.proposals.segment(ucm, 0.4)
    proposals = kv.proposals.group_regions(ucm).without_holes().distinct(0.95)
    proposals.mask(0), proposals.boxes

Several scales on common regions, and one hierarchy of all of them::

    *single, multiscale = kv.proposals.multiscale_hierarchies(image, scales=(0.5, 1, 2))

Scores of a segmentation against the regions that several people drew::

    images = kv.data.bsds500("BSR", "test")
    kv.proposals.covering(labels, images.segmentations(0))        # also: Rand index, variation of information
    kv.proposals.evaluate_regions(hierarchies, images)                        # at the best threshold of set and image
    kv.proposals.human_region_consistency(images)                 # covering 0.72

Names are imported on first use (PEP 562). Nothing here needs Keras or TensorFlow.
"""

from keras_vision.lazy import on_first_use

_NAMES = {
    "Hierarchy": "hierarchy",
    "ParetoFront": "pareto",
    "ProposalRanker": "ranking",
    "grouped": "multiscale_grouping",
    "marginal_relevance": "ranking",
    "mcg": "multiscale_grouping",
    "pareto_front": "pareto",
    "proposal_features": "shape_features",
    "scg": "multiscale_grouping",
    "class_quality": "proposal_scores",
    "coco_mask": "records",
    "proposal_overlay": "records",
    "proposal_records": "records",
    "region_overlay": "records",
    "region_records": "records",
    "Proposals": "proposal_set",
    "RegionScores": "region_benchmark",
    "gradient_contours": "contours",
    "evaluate_regions": "region_benchmark",
    "instance_quality": "proposal_scores",
    "intervening_contours": "affinity",
    "globalized": "spectral",
    "multiscale_contours": "alignment",
    "multiscale_hierarchies": "alignment",
    "network_contours": "learned_contours",
    "single_scale_contours": "alignment",
    "spectral_contours": "spectral",
    "normalized_cuts": "eigenvectors",
    "orient": "arcs",
    "proposal_overlaps": "proposal_scores",
    "proposal_recall": "proposal_scores",
    "segment": "hierarchy",
    "ultrametric_contour_map": "hierarchy",
    "HumanRegions": "human_regions",
    "align": "alignment",
    "combine": "alignment",
    "covering": "region_scores",
    "group_regions": "grouping",
    "human_region_consistency": "human_regions",
    "probabilistic_rand_index": "region_scores",
    "variation_of_information": "region_scores",
}

__all__ = sorted(_NAMES)

__getattr__, __dir__ = on_first_use(__name__, _NAMES)

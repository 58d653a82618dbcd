"""Where the object is: box regression on a classifier, dense application, merging, the ILSVRC error.

A classifier becomes a network whose last layer predicts a box; it learns where the object lies in its crop::

    regressor = kv.localisation.box_regressor(classifier, per_class=True)
    regressor.compile("adam", kv.localisation.EuclideanLoss(classes=10))
    regressor.fit(crops, np.column_stack([labels, kv.localisation.encode_boxes(boxes, windows)]))

Applied to whole images at one or several scales, beside the classifier, it gives the five likeliest classes, each with
one merged box (left, top, right, bottom) in pixels of the image::

    localiser = kv.localisation.Localiser(regressor, classifier, scales=(256, 288))
    predictions = [localiser(path) for path in paths]     # of each image [(class, probability, box), ...]
    kv.localisation.localisation_error(predictions, truth)

Networks with spatial pyramid pooling describe thousands of boxes, or many views, from one pass of their convolutions::

    network = kv.localisation.PyramidWindows(model)     # model has a layers.SpatialPyramidPooling2D
    vectors = network.pooled(image, boxes)               # (n, bins, channels)
    scores = kv.localisation.multi_view(model, paths)    # means over 96 views of each image

Sources: VGG (Simonyan & Zisserman, 2014), appendix A; OverFeat (Sermanet et al., 2014), section 4.
"""

from keras_vision.localisation.boxes import decode_boxes, encode_boxes, iou
from keras_vision.localisation.detection_scores import PrecisionRecall, mean_average_precision, precision_recall
from keras_vision.localisation.detector import Detection, RegionDetector
from keras_vision.localisation.localiser import Localisation, Localiser, localise
from keras_vision.localisation.loss import EuclideanLoss
from keras_vision.localisation.merging import match_scores, merge_boxes
from keras_vision.localisation.pyramid_windows import PyramidWindows, multi_view, views_of
from keras_vision.localisation.regressor import box_regressor
from keras_vision.localisation.scoring import ground_truth_class_error, localisation_error
from keras_vision.localisation.sliding import SlidingNetwork, centre_crop_box, dense_boxes
from keras_vision.localisation.suppression import suppress_overlaps
from keras_vision.localisation.window_pooling import pool_windows

__all__ = [
    "Detection",
    "EuclideanLoss",
    "Localisation",
    "Localiser",
    "PrecisionRecall",
    "PyramidWindows",
    "RegionDetector",
    "SlidingNetwork",
    "box_regressor",
    "centre_crop_box",
    "decode_boxes",
    "dense_boxes",
    "encode_boxes",
    "ground_truth_class_error",
    "iou",
    "localisation_error",
    "localise",
    "match_scores",
    "mean_average_precision",
    "merge_boxes",
    "multi_view",
    "pool_windows",
    "precision_recall",
    "suppress_overlaps",
    "views_of",
]

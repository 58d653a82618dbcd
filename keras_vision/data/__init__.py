"""Data sets in the layouts they are published in, and images into TensorFlow input pipelines.

Every name is imported on first use (PEP 562): scanning a folder needs no TensorFlow.
"""

from typing import TYPE_CHECKING

from keras_vision.lazy import on_first_use

if TYPE_CHECKING:
    from keras_vision.data import augment
    from keras_vision.data.annotated_images import (
        BoxedImages,
        CaptionedImages,
        EdgeImages,
        MultiLabelImages,
        SegmentedImages,
    )
    from keras_vision.data.archives import unpack
    from keras_vision.data.collages import digit_collages
    from keras_vision.data.decode import decode_image, load_pixels
    from keras_vision.data.depth_encoding import Camera, hha
    from keras_vision.data.label_groups import LabelGroups, readable_images, split_multi_label
    from keras_vision.data.labelled_images import LabelledImages, digits, image_folder
    from keras_vision.data.masks import read_mask, write_mask
    from keras_vision.data.palettes import CAMVID_PALETTE, voc_palette
    from keras_vision.data.pasting import PastedObjects, pasted_objects
    from keras_vision.data.pipeline import Pipeline
    from keras_vision.data.placed_digits import cluttered_digits, two_digits
    from keras_vision.data.readers.binarized_mnist import binarized_mnist
    from keras_vision.data.readers.bsds import bsds500
    from keras_vision.data.readers.camvid import camvid, camvid_original
    from keras_vision.data.readers.caption_splits import caption_split
    from keras_vision.data.readers.cifar import cifar10, cifar100
    from keras_vision.data.readers.coco import coco_boxes, coco_captions, coco_masks
    from keras_vision.data.readers.flickr import flickr_captions
    from keras_vision.data.readers.imagenet import imagenet_train, tiny_imagenet_train
    from keras_vision.data.readers.label_table import label_table
    from keras_vision.data.readers.mnist import mnist
    from keras_vision.data.readers.nyud import nyud
    from keras_vision.data.readers.pascal_context import pascal_context
    from keras_vision.data.readers.sift_flow import sift_flow
    from keras_vision.data.readers.split_lists import check_same_classes, listed_images
    from keras_vision.data.readers.svhn import svhn_digits, svhn_numbers
    from keras_vision.data.readers.tfds import from_tfds
    from keras_vision.data.readers.voc import sbd_segmentation, voc_classification, voc_segmentation
    from keras_vision.data.shard_reading import shards
    from keras_vision.data.shard_writing import write_shards
    from keras_vision.data.validation import (
        class_folders,
        imagenet_validation,
        tiny_imagenet_validation,
        validation_images,
    )

__all__ = [
    "CAMVID_PALETTE",
    "BoxedImages",
    "Camera",
    "CaptionedImages",
    "EdgeImages",
    "LabelGroups",
    "LabelledImages",
    "MultiLabelImages",
    "PastedObjects",
    "Pipeline",
    "SegmentedImages",
    "augment",
    "binarized_mnist",
    "bsds500",
    "camvid",
    "camvid_original",
    "caption_split",
    "check_same_classes",
    "cifar10",
    "cifar100",
    "class_folders",
    "cluttered_digits",
    "coco_boxes",
    "coco_captions",
    "coco_masks",
    "decode_image",
    "digit_collages",
    "digits",
    "flickr_captions",
    "from_tfds",
    "hha",
    "image_folder",
    "imagenet_train",
    "imagenet_validation",
    "label_table",
    "listed_images",
    "load_pixels",
    "mnist",
    "nyud",
    "pascal_context",
    "pasted_objects",
    "read_mask",
    "readable_images",
    "sbd_segmentation",
    "shards",
    "sift_flow",
    "split_multi_label",
    "svhn_digits",
    "svhn_numbers",
    "tiny_imagenet_train",
    "tiny_imagenet_validation",
    "two_digits",
    "unpack",
    "validation_images",
    "voc_classification",
    "voc_palette",
    "voc_segmentation",
    "write_mask",
    "write_shards",
]

_HOMES = {  # module -> the public names it has
    "annotated_images": ("BoxedImages", "CaptionedImages", "EdgeImages", "MultiLabelImages", "SegmentedImages"),
    "archives": ("unpack",),
    "decode": ("decode_image", "load_pixels"),
    "depth_encoding": ("Camera", "hha"),
    "collages": ("digit_collages",),
    "label_groups": ("LabelGroups", "readable_images", "split_multi_label"),
    "labelled_images": ("LabelledImages", "digits", "image_folder"),
    "masks": ("read_mask", "write_mask"),
    "palettes": ("CAMVID_PALETTE", "voc_palette"),
    "pasting": ("PastedObjects", "pasted_objects"),
    "pipeline": ("Pipeline",),
    "placed_digits": ("cluttered_digits", "two_digits"),
    "readers.binarized_mnist": ("binarized_mnist",),
    "readers.bsds": ("bsds500",),
    "readers.camvid": ("camvid", "camvid_original"),
    "readers.caption_splits": ("caption_split",),
    "readers.cifar": ("cifar10", "cifar100"),
    "readers.coco": ("coco_boxes", "coco_captions", "coco_masks"),
    "readers.flickr": ("flickr_captions",),
    "readers.imagenet": ("imagenet_train", "tiny_imagenet_train"),
    "readers.label_table": ("label_table",),
    "readers.mnist": ("mnist",),
    "readers.nyud": ("nyud",),
    "readers.pascal_context": ("pascal_context",),
    "readers.sift_flow": ("sift_flow",),
    "readers.split_lists": ("check_same_classes", "listed_images"),
    "readers.svhn": ("svhn_digits", "svhn_numbers"),
    "readers.tfds": ("from_tfds",),
    "readers.voc": ("sbd_segmentation", "voc_classification", "voc_segmentation"),
    "shard_reading": ("shards",),
    "shard_writing": ("write_shards",),
    "validation": ("class_folders", "imagenet_validation", "tiny_imagenet_validation", "validation_images"),
}

_names = {name: home for home, names in _HOMES.items() for name in names}
__getattr__, __dir__ = on_first_use(__name__, {"augment": None, **_names})

"""Fully convolutional networks on PASCAL VOC (Long, Shelhamer, Darrell, arXiv 1411.4038), section 4.

    keras-vision recipes run fcn-8s-voc VOCdevkit/VOC2012 OUT

FCN-32s is trained first, FCN-16s starts from it and FCN-8s from that, each in a folder of its own below OUT.

From the paper: batches of 20 whole images, momentum 0.9, fixed rates of 1e-4 (VGG-16) and a hundredth of that for the
finer nets, doubled for biases, 175 epochs or more, VGG-16's weights to start from, score layers of zeros. It prints the
weight decay as "5^-4 or 2^-4": here 5e-4. Its images, at most 500 x 500, are shown at their own size in the middle of a
window of 500 x 500, void around them.

`fcn-8s-at-once-voc` is the later release's: all scores at once, one image at a time, a loss that is not divided by the
number of pixels, a rate of 1e-10 and momentum 0.99; its 300,000 steps are 205 epochs of VOC 2012's 1,464 images. The
release trains on SBD's 8,498 images, as the folder `SBD` beside VOC's would add here.

None of these was run here: an epoch of FCN-32s takes hours on two cores.
"""

import dataclasses

from keras_vision.training.recipes.dense_settings import DenseRecipe

FCN32S = DenseRecipe(
    name="fcn-32s-voc",
    result="59.4 % mean IU on a subset of VOC 2011's validation images (Table 2)",
    task="segmentation",
    model="FCN32s",
    start="imagenet",
    data="PASCAL VOC",
    crop=(500, 500),
    augment="fcn",
    augment_settings=dict(pixels=0, mirror=0.0),
    epochs=175,
    batch_size=20,
    learning_rate=1e-4,
    bias_rate=2.0,
    weight_decay=5e-4,
    validate_every=25,
)
FCN16S = dataclasses.replace(
    FCN32S,
    name="fcn-16s-voc",
    result="62.4 % mean IU on a subset of VOC 2011's validation images (Table 2)",
    model="FCN16s",
    start=None,
    stage="fcn-32s-voc",
    learning_rate=1e-6,
)
FCN8S = dataclasses.replace(
    FCN16S,
    name="fcn-8s-voc",
    result="62.7 % mean IU on a subset of VOC 2011's validation images (Table 2)",
    model="FCN8s",
    stage="fcn-16s-voc",
)
AT_ONCE = dataclasses.replace(
    FCN32S,
    name="fcn-8s-at-once-voc",
    result="65.4 % mean IU on 736 validation images (release)",
    model="FCN8sAtOnce",
    loss_settings=dict(normalize="sum"),
    epochs=205,
    batch_size=1,
    learning_rate=1e-10,
    momentum=0.99,
)

RECIPES = (FCN32S, FCN16S, FCN8S, AT_ONCE)

"""DeepLab-LargeFOV on PASCAL VOC 2012 (Chen et al., arXiv 1412.7062), section 5.

    keras-vision recipes run deeplab-largefov-voc VOCdevkit/VOC2012 OUT

with SBD's masks in `VOCdevkit/VOC2012/SBD`, which make 10,582 training images. From the paper: batches of 20, a rate of
0.001, ten times that for the classifier, a tenth after every 2,000 steps, momentum 0.9, weight decay 5e-4, the loss on
labels at every eighth pixel, VGG-16's weights to start from with fc6 decimated. That there are 6,000 steps, and windows
of 321 x 321, is from memory of the release. The CRF is fitted afterwards (`kv.ops.fit_dense_crf`).

It was not run here.
"""

from keras_vision.training.recipes.dense_settings import DenseRecipe

RECIPES = (
    DenseRecipe(
        name="deeplab-largefov-voc",
        result="62.25 % mean IU on VOC 2012's validation images, 67.64 % with the CRF (Table 1)",
        task="segmentation",
        model="DeepLabLargeFOV",
        start="imagenet",
        data="PASCAL VOC 2012 with SBD",
        crop=(321, 321),
        augment="segmentation",
        augment_settings=dict(scales=(1.0, 1.0)),
        loss_settings=dict(stride=8),
        epochs=11,
        batch_size=20,
        learning_rate=1e-3,
        schedule="step",
        decay_epochs=(3.78, 7.56),
        rates=dict(fc8=10.0),
        weight_decay=5e-4,
    ),
)

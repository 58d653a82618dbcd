"""SqueezeNet v1.1 turned into segmentation networks on CamVid's road scenes; small enough for two cores.

    keras-vision recipes run fcn-8s-camvid CamVid/ OUT --set start=squeezenet_v1.1.npz
    keras-vision recipes run deeplab-largefov-camvid CamVid/ OUT --set start=squeezenet_v1.1.npz

All layers are trained, from SqueezeNet's ImageNet weights, on windows of 240 x 320 pixels of the 480 x 360 scenes,
which are scaled by 0.5 to 1.25, mirrored and changed in colour; the scores are of whole scenes.

Measured, with the public weights of v1.1, on every second test scene: FCN-8s reaches a mean IU of 57.6 % and a pixel
accuracy of 87.7 %, DeepLab-LargeFOV 53.9 % and 87.3 %; on the validation scenes 65.2 and 64.3 % mean IU. FCN's 80
epochs took an hour on two cores of an AMD EPYC (Zen 4) that others used, too, and DeepLab's 40 took 43 minutes; an
epoch of FCN took 21 s when few others did, one of DeepLab 40.
"""

import dataclasses

from keras_vision.training.recipes.dense_settings import DenseRecipe

FCN8S = DenseRecipe(
    name="fcn-8s-camvid",
    result="57.6 % mean IU on every second test scene",
    task="segmentation",
    model="FCN8s",
    model_settings=dict(backbone="SqueezeNetV1_1"),
    start="torchvision",
    data="CamVid, 11 classes (SegNet's split)",
    crop=(240, 320),
    epochs=80,
    batch_size=8,
    optimizer="adam",
    learning_rate=1e-3,
    schedule="cosine",
    weight_decay=1e-4,
    decoupled=True,
    augment="segmentation",
    augment_settings=dict(scales=(0.5, 1.25), distortion=0.5),
    validate_every=10,
)
LARGE_FOV = dataclasses.replace(
    FCN8S,
    name="deeplab-largefov-camvid",
    result="53.9 % mean IU on every second test scene",
    model="DeepLabLargeFOV",
    model_settings=dict(backbone="SqueezeNetV1_1", fc6=(3, 256, 12)),
    loss_settings=dict(stride=8),
    epochs=40,
)

RECIPES = (FCN8S, LARGE_FOV)

"""Holistically-nested edge detection on BSDS500 (Xie & Tu, arXiv 1504.06375), and a small one for two cores.

    keras-vision recipes run hed-bsds BSDS500/data OUT
    keras-vision recipes run hed-squeezenet-bsds BSDS500/data OUT --set start=squeezenet_v1.1.npz

Both train on BSDS500's training and validation images and are measured on the test images.

`hed-bsds` has the release's settings: ten images a step, a rate of 1e-6 of the loss summed over pixels, a tenth after
10,000 and 20,000 of 30,000 steps, momentum 0.9, weight decay 2e-4, rates of 100 for conv5, 0.01 for the side scores and
0.001 for their fusion, twice that for biases. The release turns each image by 16 angles, crops and mirrors it; here
images are mirrored only, so that an epoch has 30 steps where the release's has 2,880. It was not run here.

`hed-squeezenet-bsds` trains all layers, from SqueezeNet's ImageNet weights, on windows of 320 x 320 pixels of images
that are scaled by 0.8 to 1.4, mirrored and changed in colour. Measured, with the public weights of v1.1, on every
second test image: ODS 0.757, OIS 0.775, AP 0.679. Its 30 epochs took 14 minutes on two cores of an AMD EPYC (Zen 4).
"""

from keras_vision.training.recipes.dense_settings import DenseRecipe

HED_BSDS = DenseRecipe(
    name="hed-bsds",
    result="ODS 0.782 on BSDS500's test images (abstract)",
    task="edges",
    model="HED",
    start="imagenet",
    data="BSDS500",
    crop=(320, 320),
    augment="segmentation",
    augment_settings=dict(scales=(1.0, 1.0)),
    epochs=1000,
    batch_size=10,
    learning_rate=1e-6,
    schedule="step",
    decay_epochs=(333, 666),
    rates=dict(conv5=100.0, score_dsn=0.01, fuse=0.001),
    bias_rate=2.0,
    weight_decay=2e-4,
)
SQUEEZENET = DenseRecipe(
    name="hed-squeezenet-bsds",
    result="ODS 0.757 on every second test image",
    task="edges",
    model="HED",
    model_settings=dict(trunk="SqueezeNetV1_1"),
    start="torchvision",
    data="BSDS500",
    crop=(320, 320),
    augment="segmentation",
    augment_settings=dict(scales=(0.8, 1.4), distortion=0.3),
    loss_settings=dict(normalize=True, agree=0.3),
    epochs=30,
    batch_size=6,
    optimizer="adam",
    learning_rate=3e-4,
    schedule="cosine",
    weight_decay=1e-4,
    decoupled=True,
)

RECIPES = (HED_BSDS, SQUEEZENET)

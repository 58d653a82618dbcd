"""VGG, configuration D (Simonyan & Zisserman, 2014), section 3.1 and Table 3.

    keras-vision recipes run vgg-d IMAGENET OUT

First configuration A is trained, then D, whose layers that A also has start from A's: its four first convolutions and
its three fully connected ones. Momentum SGD with batches of 256, an L2 penalty of 5e-4, a rate of 1e-2 that is
divided by 10 when the validation accuracy stops improving, three times in all, 74 epochs; the shorter side of
training images is anything from 256 to 512. Evaluated densely at one scale, a shorter side of 384: 25.6 % top-1 and
8.1 % top-5 error. The paper's machine: four NVIDIA Titan Black GPUs, two to three weeks for a network. Not repeated
here.

Deviations: "the first four convolutional layers" of A go into the layers of the same names, since D's own first four
have other widths. All other weights start from Glorot's initialisation, which the paper found to do as well, in place
of a variance of 1e-2. A is trained with scale jitter, too. The paper does not say when an accuracy has stopped
improving: here after three epochs.
"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="vgg-d",
        result="25.6 % top-1, 8.1 % top-5 error, dense evaluation (Table 3)",
        model="VGG16",
        stage_model="VGG11",
        stage_layers=("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8"),
        data="ImageNet",
        protocol="dense",
        resize_shorter=384,
        epochs=74,
        batch_size=256,
        learning_rate=1e-2,
        schedule="plateau",
        patience=3,
        drops=3,
        weight_decay=5e-4,
        augment="vgg",
        augment_settings=dict(scales=(256, 512)),
    ),
)

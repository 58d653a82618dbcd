"""PReLU-net A (He et al., 2015), section 3, and the 14-layer network of section 2.1.

    keras-vision recipes run prelu-net-a IMAGENET OUT
    keras-vision recipes run prelu-study IMAGENET OUT
    keras-vision recipes run prelu-study IMAGENET OUT --set 'model_settings={"activation": "relu"}'

Momentum SGD with batches of 128, an L2 penalty of 5e-4 on kernels and not on the slopes, a rate of 1e-2 that is divided
by 10 twice when the error stops falling, about 80 epochs; the shorter side of training images is anything from 256 to
512. All figures are from memory but for the ensemble's 4.94 % top-5 error. Model C has 5.71 % alone; what A has alone
is not at hand. The 14-layer network on ten crops has 33.82 % top-1 error with ReLU, 32.71 % with one slope per layer
and 32.64 % with one per channel. The paper's machine: eight K40 GPUs, three to four weeks for a network. Not repeated
here.

Deviations: biases have no L2 penalty either. The paper does not say when an error has stopped falling: here after five
epochs. The paper evaluates the maps of whole images; here ten crops are.
"""

import dataclasses

from keras_vision.training.recipes.settings import Recipe

NET_A = Recipe(
    name="prelu-net-a",
    result="4.94 % top-5 error of the ensemble of such nets (Table 7)",
    model="PReLUNetA",
    data="ImageNet",
    protocol="ten",
    epochs=80,
    batch_size=128,
    learning_rate=1e-2,
    schedule="plateau",
    drops=2,
    weight_decay=5e-4,
    decay_all=False,
    augment="vgg",
    augment_settings=dict(scales=(256, 512)),
)

RECIPES = (
    NET_A,
    dataclasses.replace(
        NET_A,
        name="prelu-study",
        result="32.64 % top-1 error on ten crops; 33.82 % with ReLU (Table 2)",
        model="PReLUStudyNet14",
    ),
)

"""SPP-net on ImageNet (He et al., 2014), section 3.1: Overfeat-7 and ZF-5, at one size and at two in turn.

    keras-vision recipes run spp-net-overfeat7 IMAGENET OUT
    keras-vision recipes run spp-net-overfeat7-multi-size IMAGENET OUT
    keras-vision recipes run spp-net-zf5-multi-size IMAGENET OUT --set 'model_settings={"pyramid": [4, 3, 2, 1]}'

As AlexNet: momentum SGD at a rate of 0.01 that is divided by 10 twice when the error stops falling, crops of 224 from
the middle of images whose shorter side is 256, mirror images and colours; dropout on fc6 and fc7. With two sizes, one
epoch is of 224 pixels and the next of 180, the same region made smaller; the network is one, whose pyramid makes a
vector of one length of either map. Figures are from memory, top-1 and top-5 error on ten crops: without a pyramid, at
one size, at two: 35.99 and 14.76, 34.98 and 14.14, 34.60 and 13.64 % (ZF-5); 32.01 and 11.97, 30.36 and 11.12, 29.68
and 10.95 % (Overfeat-7). The paper's machine: a GeForce GTX Titan, two to four weeks (from memory). Not repeated here.

Deviations: batches of 128, an L2 penalty of 5e-4 and 70 epochs are AlexNet's and from memory; an error has stopped
falling after five epochs here. The penalty is on biases, too.
"""

import dataclasses

from keras_vision.training.recipes.settings import Recipe

OVERFEAT = Recipe(
    name="spp-net-overfeat7",
    result="30.36 % top-1, 11.12 % top-5 error on ten crops (Table 2)",
    model="SPPNetOverfeat7",
    data="ImageNet",
    protocol="ten",
    epochs=70,
    batch_size=128,
    learning_rate=0.01,
    schedule="plateau",
    drops=2,
    weight_decay=5e-4,
    augment="alexnet",
)

RECIPES = (
    OVERFEAT,
    dataclasses.replace(
        OVERFEAT,
        name="spp-net-overfeat7-multi-size",
        result="29.68 % top-1, 10.95 % top-5 error on ten crops (Table 2)",
        sizes=(224, 180),
    ),
    dataclasses.replace(
        OVERFEAT,
        name="spp-net-zf5-multi-size",
        result="34.60 % top-1, 13.64 % top-5 error on ten crops (Table 2)",
        model="SPPNetZF5",
        sizes=(224, 180),
    ),
)
